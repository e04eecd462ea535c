-- name: lock_products
-- The products whose reservations are about to change, before their reservations.
select id from products
where (catalog, id) in (
    select $2::text, p from unnest($4::text[]) as p
    union
    select r.catalog, r.product_id from reservations as r
    where r.connection = $1 and r.order_id = any ($3::text[])
)
order by catalog, id
for update

-- name: move
-- Adds and releases units; what is really released counts, should the store have replaced it.
-- What became available is noted for the orders that wait for it. Which products moved.
with wanted as (
    select * from unnest($3::text[], $4::text[], $5::int[], $6::timestamptz[])
        as w (order_id, product_id, delta, known_at)
),
added as (
    insert into reservations as r (connection, order_id, catalog, product_id, quantity, known_at)
    select $1, order_id, $2, product_id, delta, known_at from wanted
    where delta > 0
    on conflict (order_id, connection, product_id)
    do update set quantity = r.quantity + excluded.quantity
    returning r.order_id, r.catalog, r.product_id
),
released as (
    delete from reservations as r using wanted as w
    where
        r.connection = $1 and r.order_id = w.order_id and r.product_id = w.product_id
        and r.quantity + w.delta <= 0
    returning r.catalog, r.product_id, -r.quantity as delta
),
lowered as (
    update reservations as r set quantity = r.quantity + w.delta from wanted as w
    where
        r.connection = $1 and r.order_id = w.order_id and r.product_id = w.product_id
        and w.delta < 0 and r.quantity + w.delta > 0
    returning r.catalog, r.product_id, w.delta
),
moved as (
    select catalog, product_id, sum(delta) as delta
    from (
        select a.catalog, a.product_id, w.delta from added as a
        join wanted as w using (order_id, product_id)
        union all select * from released
        union all select * from lowered
    ) as each
    group by catalog, product_id
),
counted as (
    update products as p set reserved = p.reserved + m.delta from moved as m
    where p.catalog = m.catalog and p.id = m.product_id
),
noted as (
    insert into product_changes (catalog, product_id, changed_at)
    select catalog, product_id, $7 from moved
    where delta < 0
)
select catalog, product_id, delta < 0 as freed from moved

-- name: know
-- Since when the store's numbers include these orders. Locked in the order of `replace`.
with moved as materialized (
    select r.order_id, r.product_id, u.known_at from reservations as r
    join unnest($2::text[], $3::timestamptz[]) as u (order_id, known_at)
        on u.order_id = r.order_id
    where r.connection = $1 and r.known_at is distinct from u.known_at
    order by r.order_id, r.product_id
    for update of r
)
update reservations as r set known_at = m.known_at from moved as m
where r.connection = $1 and r.order_id = m.order_id and r.product_id = m.product_id

-- name: live
-- What is reserved of these products, by order.
select connection, order_id, product_id, quantity, known_at from reservations
where catalog = $1 and product_id = any ($2::text[])
order by product_id, order_id, connection

-- name: replace
-- The store's new number includes these; `know` may be at some of them.
with included as materialized (
    select r.order_id, r.connection, r.product_id from reservations as r
    join unnest($1::text[], $2::text[], $3::text[]) as u (order_id, connection, product_id)
        using (order_id, connection, product_id)
    order by r.connection, r.order_id, r.product_id
    for update of r
)
delete from reservations as r using included as i
where r.order_id = i.order_id and r.connection = i.connection and r.product_id = i.product_id
