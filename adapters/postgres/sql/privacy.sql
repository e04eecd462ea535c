-- name: due
-- Orders that ended before a moment, and about which nothing has happened since; what the broker
-- has not confirmed yet is left alone. Ours until the transaction ends, oldest first.
select o.order_id, o.connection from orders as o
cross join relay
where
    o.erased_at is null and o.state in ('shipped', 'cancelled', 'lost', 'undelivered')
    and o.changed_at < $1
    and not exists (
        select from events as e
        where
            e.order_id = o.order_id and e.connection = o.connection
            and e.position > relay.position
    )
    and not exists (
        select from returns as r
        where r.order_id = o.order_id and r.connection = o.connection and r.changed_at >= $1
    )
    and not exists (
        select from actions as a
        where
            a.order_id = o.order_id and a.connection = o.connection and a.settled_at is null
    )
order by o.changed_at
limit $2
for update of o skip locked

-- name: lock
-- These orders and why each is still needed, if it is; ours until the transaction ends.
select
    o.order_id, o.connection,
    case
        when o.state in ('new', 'pending_manual', 'accepted', 'synced') then 'it is ' || o.state
        when
            exists (
                select from events as e
                where
                    e.order_id = o.order_id and e.connection = o.connection
                    and e.position > relay.position
            )
            then 'the broker does not have all its events yet'
        when
            exists (
                select from returns as r
                where
                    r.order_id = o.order_id and r.connection = o.connection
                    and r.state in ('requested', 'accepted', 'paid')
            )
            then 'a return of it is open'
        when
            exists (
                select from actions as a
                where
                    a.order_id = o.order_id and a.connection = o.connection
                    and a.settled_at is null
            )
            then 'Spartoo is still to be told something of it'
    end as needed
from orders as o
cross join relay
where (o.order_id, o.connection) in (select * from unnest($1::text[], $2::text[]))
order by o.order_id, o.connection
for update of o

-- name: facts
-- What the marketplace says of these orders, and what else they are found by.
select o.order_id, o.connection, o.facts, o.store_order_id from orders as o
join unnest($1::text[], $2::text[]) as u (order_id, connection) using (order_id, connection)

-- name: erase_orders
-- Without their customers, for good.
update orders as o set facts = u.facts, erased_at = $4
from unnest($1::text[], $2::text[], $3::json[]) as u (order_id, connection, facts)
where o.order_id = u.order_id and o.connection = u.connection

-- name: forget_words
-- What these orders are found by, without their customers.
update order_search as s set words = array_to_tsvector(string_to_array(u.words, e'\n'))
from unnest($1::text[], $2::text[], $3::text[]) as u (order_id, connection, words)
where s.order_id = u.order_id and s.connection = u.connection

-- name: events
-- What the broker has of these orders.
select e.position, e.data from events as e
join unnest($1::text[], $2::text[]) as u (order_id, connection)
    on e.order_id = u.order_id and e.connection = u.connection
where e.position <= (select position from relay)

-- name: replace_events
update events as e set data = u.data
from unnest($1::bigint[], $2::json[]) as u (position, data)
where e.position = u.position

-- name: commands
-- What was asked about these orders and their returns, and answered.
select c.id, c.body, c.reply from commands as c
join unnest($1::text[], $2::text[]) as u (order_id, connection)
    on c.body ->> 'order_id' = u.order_id and c.body ->> 'connection' = u.connection
where c.command like 'order.%'
union all
select c.id, c.body, c.reply from returns as r
join unnest($1::text[], $2::text[]) as u (order_id, connection) using (order_id, connection)
join commands as c
    on c.body ->> 'return_id' = r.return_id collate "default" -- as the index compares
    and c.body ->> 'connection' = r.connection collate "default"
where c.command like 'return.%'

-- name: replace_commands
update commands as c set body = u.body, reply = u.reply
from unnest($1::text[], $2::json[], $3::json[]) as u (id, body, reply)
where c.id = u.id

-- name: forget_history
-- What people wrote in their own words.
update order_history as h set reason = null
from unnest($1::text[], $2::text[]) as u (order_id, connection)
where h.order_id = u.order_id and h.connection = u.connection and h.reason <> 'refused'

-- name: forget_actions
update actions as a set reason = null
from unnest($1::text[], $2::text[]) as u (order_id, connection)
where a.order_id = u.order_id and a.connection = u.connection and a.reason <> 'refused'

-- name: forget_slips
delete from slips as s using unnest($1::text[], $2::text[]) as u (order_id, connection)
where s.order_id = u.order_id and s.connection = u.connection

-- name: forget_labels
-- Labels bear the customer's address.
with unlinked as (
    update returns as r set label_link = null
    from unnest($1::text[], $2::text[]) as u (order_id, connection)
    where r.order_id = u.order_id and r.connection = u.connection
    returning r.return_id, r.connection
)
delete from return_labels as l using unlinked as r
where l.return_id = r.return_id and l.connection = r.connection

-- name: forget_quarantine
-- The XML goes; its fingerprint stays, so that the same is not stored again.
update quarantine as q set xml = ''
from unnest($1::text[], $2::text[]) as u (order_id, connection)
where q.order_id = u.order_id and q.connection = u.connection and q.xml <> ''

-- name: forget_comments
-- What people noted, in their own words too.
delete from comments as c using unnest($1::text[], $2::text[]) as u (order_id, connection)
where c.order_id = u.order_id and c.connection = u.connection

-- name: quarantined
-- What could not be read, and so may tell of anybody.
select connection, order_id, xml, error, first_seen_at from quarantine
where xml <> '' and (connection, order_id) > ($1, $2)
order by connection, order_id
limit $3

-- name: orders
-- Orders with everything that is kept about them, as one JSON document each.
select json_build_object(
    'connection', o.connection, 'order_id', o.order_id, 'state', o.state,
    'purchased_at', o.purchased_at, 'first_seen_at', o.first_seen_at,
    'changed_at', o.changed_at, 'store_order_id', o.store_order_id, 'order', o.facts,
    'decision', o.decision, 'shipments', o.shipments, 'problem', o.problem,
    'history', (
        select coalesce(json_agg(json_build_object(
            'from', h.from_state, 'to', h.to_state, 'trigger', h.trigger,
            'by', h.requested_by, 'reason', h.reason, 'at', h.at
        ) order by h.id), '[]')
        from order_history as h
        where h.order_id = o.order_id and h.connection = o.connection
    ),
    'actions', (
        select coalesce(json_agg(json_build_object(
            'kind', a.kind, 'reason', a.reason, 'by', a.requested_by, 'status', a.status,
            'created_at', a.created_at, 'settled_at', a.settled_at
        ) order by a.id), '[]')
        from actions as a
        where a.order_id = o.order_id and a.connection = o.connection
    ),
    'calls', (
        select coalesce(json_agg(json_build_object(
            'service', c.service, 'result', c.result, 'summary', c.summary, 'at', c.at
        ) order by c.id), '[]')
        from communications as c
        where c.order_id = o.order_id and c.connection = o.connection
    ),
    'events', (
        select coalesce(json_agg(json_build_object(
            'id', e.id, 'type', e.type, 'sequence', e.sequence, 'time', e.time, 'data', e.data
        ) order by e.position), '[]')
        from events as e
        where e.order_id = o.order_id and e.connection = o.connection
    ),
    'commands', (
        select coalesce(json_agg(json_build_object(
            'id', c.id, 'received_at', c.received_at, 'body', c.body, 'reply', c.reply
        ) order by c.received_at, c.id), '[]')
        from commands as c
        where
            c.command like 'order.%'
            and c.body ->> 'order_id' = o.order_id collate "default" -- as the index compares
            and c.body ->> 'connection' = o.connection collate "default"
    ),
    'comments', (
        select coalesce(json_agg(json_build_object(
            'text', n.text, 'by', n.written_by, 'at', n.at
        ) order by n.at), '[]')
        from comments as n
        where n.order_id = o.order_id and n.connection = o.connection
    ),
    'returns', (
        select coalesce(json_agg(json_build_object(
            'return_id', r.return_id, 'state', r.state, 'return', r.facts,
            'label_link', r.label_link
        ) order by r.requested_at, r.return_id), '[]')
        from returns as r
        where r.order_id = o.order_id and r.connection = o.connection
    ),
    'delivery_slip', (
        select encode(s.pdf, 'base64') from slips as s
        where s.order_id = o.order_id and s.connection = o.connection
    )
) as document
from orders as o
join unnest($1::text[], $2::text[]) as u (order_id, connection) using (order_id, connection)
order by o.purchased_at, o.order_id, o.connection

-- name: of_person
-- A piece of the orders, and those in it whose customer has this e-mail address (lower case).
select
    o.order_id, o.connection,
    coalesce(lower(o.facts #>> '{customer,email}') = $3, false) as theirs
from orders as o
where (o.order_id, o.connection) > ($1, $2)
order by o.order_id, o.connection
limit $4

-- name: prune_events
-- The oldest of the log, published and older than a moment; the last position that went, and the
-- first that stays.
with oldest as (
    select e.position, e.time from events as e cross join relay
    where e.position > $1 and e.position <= relay.position
    order by e.position
    limit $3
),
gone as (
    delete from events as e using oldest as o
    where e.position = o.position and o.time < $2
    returning e.position
)
select
    max(position) as last, count(*) as rows,
    (select min(position) from oldest where time >= $2) as kept
from gone

-- name: prune_communications
with oldest as (
    select id, at from communications where id > $1 order by id limit $3
),
gone as (
    delete from communications as c using oldest as o
    where c.id = o.id and o.at < $2
    returning c.id
)
select
    max(id) as last, count(*) as rows, (select min(id) from oldest where at >= $2) as kept
from gone

-- name: prune_commands
with gone as (
    delete from commands
    where id in (
        select id from commands where received_at < $1
        order by received_at
        limit $2
        for update skip locked
    )
    returning id
)
select count(*) from gone

-- name: erase_quarantine
-- The fingerprint stays, so that the same is not stored again.
update quarantine set xml = ''
where last_seen_at < $1 and xml <> ''

-- name: prune_calls
-- An hour's calls are counted; what is older is left where a service is called no more.
delete from calls where minute < clock_timestamp() - interval '2 hours'
