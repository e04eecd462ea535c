-- name: lock
-- Row locks in one order, so that two replicas never deadlock; the rows are read afterwards,
-- because a statement that waited for a lock sees other tables as they were before.
select order_id from orders
where connection = $1 and order_id = any ($2::text[])
order by order_id
for update

-- name: lock_across
-- As lock, of several connections.
select from orders
where (order_id, connection) in (select * from unnest($1::text[], $2::text[]))
order by order_id, connection
for update

-- name: read
select * from order_records
where connection = $1 and order_id = any ($2::text[])

-- name: reserved
-- What these orders hold, and in which catalogue.
select order_id, json_object_agg(product_id, quantity) as reserved, max(catalog) as reserved_in
from reservations
where connection = $1 and order_id = any ($2::text[])
group by order_id

-- name: note_published
-- The broker has their acceptance.
update orders set published_at = $3
where connection = $1 and order_id = any ($2::text[]) and published_at is null

-- name: open_ids
-- Orders that settings may have put elsewhere, a page of them.
select order_id from orders
where
    connection = $1 and order_id > $2
    and (state in ('new', 'pending_manual', 'accepted') or (state = 'synced' and spartoo_status = 11))
    and state in ('new', 'pending_manual', 'accepted', 'synced')
order by order_id
limit $3

-- name: find
-- An order by its id, in one connection or in all.
select * from order_records
where order_id = $1 and ($2::text is null or connection = $2)
order by connection

-- name: insert
-- Orders seen for the first time, and the words they are found by.
with u as materialized (
    select * from unnest(
        $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::bytea[], $7::json[], $8::json[],
        $9::json[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[],
        $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::json[], $18::json[],
        $19::json[], $20::text[], $21::json[]
    ) as u (
        order_id, state, spartoo_status, purchased_at, fingerprint, facts, decision,
        products, touched_by, store_order_id, first_seen_at, changed_at, acknowledged_at,
        published_at, known_at, shipments, problem, identifiers, words, not_shipped
    )
), found_by as (
    insert into order_search (order_id, connection, purchased_at, words)
    select u.order_id, $1, u.purchased_at, array_to_tsvector(string_to_array(u.words, e'\n')) from u
), services as materialized (
    select distinct u.facts ->> 'shipping_service' as name from u
), shipped_by as ( -- does not wait for another transaction that adds the same name
    insert into shipping_services (connection, name)
    select $1, s.name from services as s
    where
        s.name <> ''
        and not exists (
            select from shipping_services as k where k.connection = $1 and k.name = s.name
        )
        and pg_try_advisory_xact_lock(hashtextextended('service ' || $1 || ' ' || s.name, 0))
    on conflict do nothing
)
insert into orders (
    connection, order_id, state, spartoo_status, purchased_at, fingerprint, facts, decision,
    products, touched_by, store_order_id, first_seen_at, changed_at, acknowledged_at,
    published_at, known_at, shipments, problem, identifiers, not_shipped
)
select
    $1, u.order_id, u.state, u.spartoo_status, u.purchased_at, u.fingerprint, u.facts, u.decision,
    u.products, u.touched_by, u.store_order_id, u.first_seen_at, u.changed_at, u.acknowledged_at,
    u.published_at, u.known_at, u.shipments, u.problem,
    array(select json_array_elements_text(u.identifiers)), u.not_shipped
from u

-- name: update
-- Orders that moved, and their words where these are others now; the fingerprint stays where none
-- is given.
with u as materialized (
    select * from unnest(
        $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::bytea[], $7::json[], $8::json[],
        $9::json[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[],
        $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::json[], $18::json[],
        $19::json[], $20::text[], $21::json[]
    ) as u (
        order_id, state, spartoo_status, purchased_at, fingerprint, facts, decision,
        products, touched_by, store_order_id, first_seen_at, changed_at, acknowledged_at,
        published_at, known_at, shipments, problem, identifiers, words, not_shipped
    )
), found_by as (
    update order_search as s set
        purchased_at = u.purchased_at,
        words = array_to_tsvector(string_to_array(u.words, e'\n'))
    from u
    where
        s.connection = $1 and s.order_id = u.order_id
        and (s.words, s.purchased_at) is distinct from (
            array_to_tsvector(string_to_array(u.words, e'\n')), u.purchased_at
        )
)
update orders as o set
    state = u.state, spartoo_status = u.spartoo_status, purchased_at = u.purchased_at,
    fingerprint = coalesce(u.fingerprint, o.fingerprint), facts = u.facts, decision = u.decision,
    products = u.products, touched_by = u.touched_by, store_order_id = u.store_order_id,
    first_seen_at = u.first_seen_at, changed_at = u.changed_at,
    acknowledged_at = u.acknowledged_at, published_at = u.published_at, known_at = u.known_at,
    shipments = u.shipments, problem = u.problem,
    identifiers = array(select json_array_elements_text(u.identifiers)),
    not_shipped = u.not_shipped
from u
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
-- The oldest orders that can still change, and when they were placed.
select order_id, purchased_at from orders
where connection = $1 and state in ('new', 'pending_manual', 'accepted', 'synced')
order by purchased_at
limit $2

-- name: shipping_services
-- The names that the connection's orders bear.
select name from shipping_services where connection = $1 order by name

-- name: page
-- Newest first; conditions that are null fall away when the statement is planned.
select r.* from order_records as r
join (
    select order_id, connection from orders
    where
        ($1::text is null or connection = $1)
        and ($2::text is null or state = $2)
        and ($5::boolean is null or (problem is not null) = $5)
        and purchased_at >= coalesce($3::timestamptz, '-infinity')
        and purchased_at < coalesce($4::timestamptz, 'infinity')
        and purchased_at <= coalesce($6::timestamptz, 'infinity')
        and (
            purchased_at < coalesce($6::timestamptz, 'infinity')
            or (order_id, connection) > ($7::text, $8::text)
        )
    order by purchased_at desc, order_id, connection
    limit $9
) as k using (order_id, connection)
order by r.purchased_at desc, r.order_id, r.connection

-- name: search
-- As page, of orders with these words. A word that many have fills the page from the newest orders;
-- of a rare one, all are found and sorted; else the orders are tried one by one until it is full.
with newest as materialized (
    select order_id, connection, purchased_at from orders
    where
        ($1::text is null or connection = $1)
        and ($2::text is null or state = $2)
        and ($5::boolean is null or (problem is not null) = $5)
        and purchased_at >= coalesce($3::timestamptz, '-infinity')
        and purchased_at < coalesce($4::timestamptz, 'infinity')
        and purchased_at <= coalesce($6::timestamptz, 'infinity')
        and (
            purchased_at < coalesce($6::timestamptz, 'infinity')
            or (order_id, connection) > ($7::text, $8::text)
        )
    order by purchased_at desc, order_id, connection
    limit 1000
), recent as materialized (
    select n.order_id, n.connection from newest as n
    cross join lateral (
        select from order_search as s
        where
            s.order_id = n.order_id and s.connection = n.connection
            and s.words @@ $10::text::tsquery
        offset 0 -- each order by itself
    ) as s
    order by n.purchased_at desc, n.order_id, n.connection
    limit $9
), first as materialized (
    select
        (select count(*) from recent) >= $9 or (select count(*) from newest) < 1000 as enough
), matching as materialized (
    select order_id, connection, purchased_at from order_search
    where
        not (select enough from first)
        and words @@ $10::text::tsquery
        and ($1::text is null or connection = $1)
        and purchased_at >= coalesce($3::timestamptz, '-infinity')
        and purchased_at < coalesce($4::timestamptz, 'infinity')
        and purchased_at <= coalesce($6::timestamptz, 'infinity')
        and (
            purchased_at < coalesce($6::timestamptz, 'infinity')
            or (order_id, connection) > ($7::text, $8::text)
        )
    limit 5001
), size as materialized (
    select count(*) <= 5000 as few from matching
), keys as (
    select order_id, connection from recent
    where (select enough from first)
    union all
    (
        select m.order_id, m.connection from matching as m
        where
            (select few from size)
            and (
                $2::text is null and $5::boolean is null
                or (
                    select
                        ($2::text is null or o.state = $2)
                        and ($5::boolean is null or (o.problem is not null) = $5)
                    from orders as o
                    where o.order_id = m.order_id and o.connection = m.connection
                )
            )
        order by m.purchased_at desc, m.order_id, m.connection
        limit $9
    )
    union all
    (
        select o.order_id, o.connection from orders as o
        cross join lateral (
            select from order_search as s
            where
                s.order_id = o.order_id and s.connection = o.connection
                and s.words @@ $10::text::tsquery
            offset 0 -- each order by itself, in this order
        ) as s
        where
            not (select few from size)
            and ($1::text is null or o.connection = $1)
            and ($2::text is null or o.state = $2)
            and ($5::boolean is null or (o.problem is not null) = $5)
            and o.purchased_at >= coalesce($3::timestamptz, '-infinity')
            and o.purchased_at < coalesce($4::timestamptz, 'infinity')
            and o.purchased_at <= coalesce($6::timestamptz, 'infinity')
            and (
                o.purchased_at < coalesce($6::timestamptz, 'infinity')
                or (o.order_id, o.connection) > ($7::text, $8::text)
            )
        order by o.purchased_at desc, o.order_id, o.connection
        limit $9
    )
)
select r.* from order_records as r
join keys using (order_id, connection)
order by r.purchased_at desc, r.order_id, r.connection

-- name: oldest_pending
-- Per connection, since when the longest waiting order waits for a person.
select connection, min(first_seen_at) as first_seen_at from orders
where state = 'pending_manual'
group by connection

-- name: placed_in_month
-- Per connection, how many orders were placed in this month of its zone: whole UTC days by their
-- counts and the notes since, the hours at both ends from the index alone.
with months as materialized (
    select
        c.id, c.active, month.since, ends.until, days.first_day, days.end_day,
        to_char(days.first_day at time zone 'UTC', 'YYYY-MM-DD') as first_counted,
        to_char(days.end_day at time zone 'UTC', 'YYYY-MM-DD') as end_counted
    from connections as c
    cross join lateral (
        select date_trunc('month', $1::timestamptz, c.settings ->> 'timezone') as since
    ) as month
    cross join lateral (
        select
            date_trunc(
                'month', month.since + interval '32 days', c.settings ->> 'timezone'
            ) as until
    ) as ends
    cross join lateral (
        select
            date_trunc('day', month.since + interval '24 hours -1 microseconds', 'UTC') as first_day,
            date_trunc('day', ends.until, 'UTC') as end_day
    ) as days
), noted as (
    select n.connection, sum(n.change) as orders
    from state_count_changes as n
    join months as m on m.id = n.connection
    where n.kind = 'orders_placed' and n.state >= m.first_counted and n.state < m.end_counted
    group by n.connection
)
select
    m.id as connection, m.active,
    (coalesce(counted.orders, 0) + coalesce(noted.orders, 0) + edges.orders)::bigint as orders
from months as m
cross join lateral (
    select sum(records) as orders from state_counts
    where
        kind = 'orders_placed' and connection = m.id
        and state >= m.first_counted and state < m.end_counted
) as counted
cross join lateral (
    select
        (
            select count(*) from orders
            where connection = m.id and purchased_at >= m.since and purchased_at < m.first_day
        ) + (
            select count(*) from orders
            where connection = m.id and purchased_at >= m.end_day and purchased_at < m.until
        ) as orders
) as edges
left join noted on noted.connection = m.id
order by m.id

-- name: waiting
-- How many orders wait for a person, and how many have a problem; counted up to a limit.
select
    (
        select count(*) from (
            select from orders where state = 'pending_manual' limit $1
        ) as pending_rows
    ) as pending,
    (
        select count(*) from (
            select from orders where problem is not null limit $1
        ) as problem_rows
    ) as attention

-- name: changed_at
select changed_at from orders where order_id = $2 and connection = $1
