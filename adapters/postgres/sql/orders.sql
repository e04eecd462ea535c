-- name: lock
-- Row locks in one order, so that two replicas never deadlock; the rows are read afterwards,
-- because a statement that waited for a lock sees other tables as they were before.
select order_id from orders
where connection = $1 and order_id = any ($2::text[])
order by order_id
for update

-- name: read
select * from order_records
where connection = $1 and order_id = any ($2::text[])

-- name: find
-- An order by its id, in one connection or in all.
select * from order_records
where order_id = $1 and ($2::text is null or connection = $2)
order by connection

-- name: insert
-- Orders seen for the first time.
insert into orders (
    connection, order_id, state, spartoo_status, purchased_at, fingerprint, facts, decision,
    products, touched_by, store_order_id, first_seen_at, changed_at, acknowledged_at,
    published_at, known_at, shipments, problem, identifiers
)
select
    $1, u.order_id, u.state, u.spartoo_status, u.purchased_at, u.fingerprint, u.facts, u.decision,
    u.products, u.touched_by, u.store_order_id, u.first_seen_at, u.changed_at, u.acknowledged_at,
    u.published_at, u.known_at, u.shipments, u.problem,
    array(select json_array_elements_text(u.identifiers))
from unnest(
    $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::bytea[], $7::json[], $8::json[],
    $9::json[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[],
    $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::json[], $18::json[],
    $19::json[]
) as u (
    order_id, state, spartoo_status, purchased_at, fingerprint, facts, decision,
    products, touched_by, store_order_id, first_seen_at, changed_at, acknowledged_at,
    published_at, known_at, shipments, problem, identifiers
)

-- name: update
-- Orders that moved; the fingerprint stays where none is given.
update orders as o set
    state = u.state, spartoo_status = u.spartoo_status, purchased_at = u.purchased_at,
    fingerprint = coalesce(u.fingerprint, o.fingerprint), facts = u.facts, decision = u.decision,
    products = u.products, touched_by = u.touched_by, store_order_id = u.store_order_id,
    first_seen_at = u.first_seen_at, changed_at = u.changed_at,
    acknowledged_at = u.acknowledged_at, published_at = u.published_at, known_at = u.known_at,
    shipments = u.shipments, problem = u.problem,
    identifiers = array(select json_array_elements_text(u.identifiers))
from unnest(
    $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::bytea[], $7::json[], $8::json[],
    $9::json[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[],
    $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::json[], $18::json[],
    $19::json[]
) as u (
    order_id, state, spartoo_status, purchased_at, fingerprint, facts, decision,
    products, touched_by, store_order_id, first_seen_at, changed_at, acknowledged_at,
    published_at, known_at, shipments, problem, identifiers
)
where o.connection = $1 and o.order_id = u.order_id

-- name: add_history
-- The moves of a step, in their order.
insert into order_history (
    connection, order_id, from_state, to_state, trigger, requested_by, reason, at
)
select $1, u.order_id, u.from_state, u.to_state, u.trigger, u.requested_by, u.reason, u.at
from unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[]
) with ordinality as u (order_id, from_state, to_state, trigger, requested_by, reason, at, n)
order by u.n

-- name: history
-- Every move of one order, oldest first.
select from_state, to_state, trigger, requested_by, reason, at from order_history
where order_id = $2 and connection = $1
order by id

-- name: fingerprints
-- What was last read of these orders; of an order in quarantine, what could not be read.
select
    coalesce(q.order_id, o.order_id) as order_id,
    coalesce(q.fingerprint, o.fingerprint) as fingerprint
from (
    select order_id, fingerprint from orders
    where connection = $1 and order_id = any ($2::text[])
) as o
full join (
    select order_id, fingerprint from quarantine
    where connection = $1 and order_id = any ($2::text[])
) as q using (order_id)
where coalesce(q.fingerprint, o.fingerprint) is not null

-- name: keep_fingerprints
-- The XML differs, its meaning does not.
update orders as o set fingerprint = u.fingerprint
from unnest($2::text[], $3::bytea[]) as u (order_id, fingerprint)
where o.connection = $1 and o.order_id = u.order_id

-- name: oldest_open
-- When the oldest order that can still change was placed.
select purchased_at from orders
where connection = $1 and state in ('new', 'pending_manual', 'accepted', 'synced')
order by purchased_at
limit 1

-- name: page
-- Newest first; per connection only as many rows as the page holds are read from its index.
select r.* from order_records as r
join (
    select o.order_id, o.connection from connections as c
    cross join lateral (
        select order_id, connection, purchased_at from orders
        where
            connection = c.id
            and purchased_at >= coalesce($4::timestamptz, '-infinity')
            and purchased_at < coalesce($5::timestamptz, 'infinity')
            and purchased_at <= coalesce($7::timestamptz, 'infinity')
            and (
                purchased_at < coalesce($7::timestamptz, 'infinity')
                or (order_id, connection) > ($8::text, $9::text)
            )
            and ($2::text is null or state = $2)
            and ($6::boolean is null or (problem is not null) = $6)
            and (
                $3::text is null
                or starts_with(order_id, upper($3))
                or starts_with(order_id, $3)
                or store_order_id = $3
                or $3 = any (identifiers)
                or strpos(
                    lower(concat_ws(
                        ' ', facts #>> '{customer,first_name}', facts #>> '{customer,last_name}',
                        facts #>> '{customer,company}', facts #>> '{customer,email}'
                    )),
                    lower($3)
                ) > 0
            )
        order by purchased_at desc, order_id
        limit $10
    ) as o
    where $1::text is null or c.id = $1
    order by o.purchased_at desc, o.order_id, o.connection
    limit $10
) as k using (order_id, connection)
order by r.purchased_at desc, r.order_id, r.connection

-- name: counts
-- How many orders stand where.
select connection, state, count(*) as orders from orders
group by connection, state

-- name: oldest_pending
-- Per connection, since when the longest waiting order waits for a person.
select connection, min(first_seen_at) as first_seen_at from orders
where state = 'pending_manual'
group by connection

-- name: placed_in_month
-- Per connection, how many orders were placed in this month of its zone: from the index alone.
select c.id as connection, c.active, o.orders
from connections as c
cross join lateral (
    select date_trunc('month', $1::timestamptz, c.settings ->> 'timezone') as since
) as month
cross join lateral (
    select count(*) as orders from orders
    where
        connection = c.id and purchased_at >= month.since
        and purchased_at < date_trunc(
            'month', month.since + interval '32 days', c.settings ->> 'timezone'
        )
) as o
order by c.id
