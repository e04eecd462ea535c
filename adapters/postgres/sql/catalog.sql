-- name: lock_catalog
-- One writer a catalogue at a time: a product that is not there yet cannot be locked.
select pg_advisory_xact_lock(hashtextextended('catalog ' || $1, 0))

-- name: lock_catalog_for_orders
-- No writer meanwhile: an order that finds no product is stored before that product comes, so that
-- its coming decides the order again.
select pg_advisory_xact_lock_shared(hashtextextended('catalog ' || $1, 0))

-- name: some_unknown
-- True when not all of these are there.
select exists (
    select from unnest($2::text[]) as u (id)
    where not exists (select from products as p where p.catalog = $1 and p.id = u.id)
)

-- name: lock
-- Product rows, always in this order.
select
    catalog, id, sku, ean, name, stock, as_of, reserved, price_final_incl_tax,
    price_original_incl_tax, currency, attributes
from products
where catalog = $1 and id = any ($2::text[])
order by id
for update

-- name: read
-- Product rows, unlocked.
select
    catalog, id, sku, ean, name, stock, as_of, reserved, price_final_incl_tax,
    price_original_incl_tax, currency, attributes
from products
where catalog = $1 and id = any ($2::text[])
order by id

-- name: ids_by_sku
-- Whose stock keeping unit is one of these.
select id from products where catalog = $1 and sku = any ($3::text[]) and $2 = 'sku'

-- name: ids_by_ean
-- Whose article number is one of these.
select id from products where catalog = $1 and ean = any ($3::text[]) and $2 = 'ean'

-- name: ids_by_attribute
-- Whose attribute of that name is one of these.
select p.id from unnest($3::text[]) as value
join products as p on p.catalog = $1 and p.attributes @> jsonb_build_object($2::text, value)

-- name: write
-- New and changed products.
insert into products (
    catalog, id, sku, ean, name, stock, as_of, reserved, price_final_incl_tax,
    price_original_incl_tax, currency, attributes, updated_at
)
select u.*, $13
from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::timestamptz[],
    $8::int[], $9::numeric[], $10::numeric[], $11::text[], $12::jsonb[]
) as u (
    catalog, id, sku, ean, name, stock, as_of, reserved, price_final_incl_tax,
    price_original_incl_tax, currency, attributes
)
on conflict (catalog, id) do update set
    sku = excluded.sku, ean = excluded.ean, name = excluded.name, stock = excluded.stock,
    as_of = excluded.as_of, reserved = excluded.reserved,
    price_final_incl_tax = excluded.price_final_incl_tax,
    price_original_incl_tax = excluded.price_original_incl_tax, currency = excluded.currency,
    attributes = excluded.attributes, updated_at = excluded.updated_at

-- name: note_changes
-- Orders that wait for these are to be decided again.
insert into product_changes (catalog, product_id, changed_at, former)
select u.catalog, u.id, $3, u.former
from unnest($1::text[], $2::text[], $4::jsonb[]) as u (catalog, id, former)

-- name: page
-- Products by id.
select
    catalog, id, sku, ean, name, stock, as_of, reserved, price_final_incl_tax,
    price_original_incl_tax, currency, attributes
from products
where catalog = $1 and id > coalesce($2::text, '')
order by id
limit $3

-- name: search
-- As page, of products meant by a text: the start of an id, a stock keeping unit, an article number
-- or words of the name. Few matches are sorted; where there are many, the products are tried by id.
with matching as materialized (
    select id from products
    where
        catalog = $1 and id > coalesce($2::text, '')
        and (
            starts_with(id, $4) or sku = $4 or ean = $4
            or to_tsvector('simple', name) @@ $5::text::tsquery
        )
    limit 5001
), size as materialized (
    select count(*) <= 5000 as few from matching
), keys as (
    (
        select id from matching
        where (select few from size)
        order by id
        limit $3
    )
    union all
    (
        select id from products
        where
            not (select few from size)
            and catalog = $1 and id > coalesce($2::text, '')
            and (
                starts_with(id, $4) or sku = $4 or ean = $4
                or to_tsvector('simple', name) @@ $5::text::tsquery
            )
        order by id
        limit $3
    )
)
select
    p.catalog, p.id, p.sku, p.ean, p.name, p.stock, p.as_of, p.reserved, p.price_final_incl_tax,
    p.price_original_incl_tax, p.currency, p.attributes
from products as p
join keys on p.catalog = $1 and p.id = keys.id
order by p.id

-- name: catalogs
-- Those that hold products, each found by one step in the index, and those connections name.
with recursive holding as (
    (select catalog from products order by catalog limit 1)
    union all
    select (
        select p.catalog from products as p
        where p.catalog > h.catalog
        order by p.catalog
        limit 1
    )
    from holding as h
    where h.catalog is not null
)
select catalog from holding where catalog is not null
union
select settings ->> 'catalog' from connections
order by 1

-- name: age
-- The newest moment each catalogue's stock speaks of.
select catalog, max(as_of) as as_of from products
group by catalog

-- name: take_changes
-- Oldest first; two replicas never take the same.
delete from product_changes
where id in (
    select id from product_changes
    order by id
    limit $1
    for update skip locked
)
returning catalog, product_id, former

-- name: still_taking
-- A sign of life.
select 1

-- name: waiting_for
-- Orders nobody has touched that wait and may mean one of these products, or meant it by a value
-- that the product has given up.
with wanted as (
    select c.id as connection, array_agg(v.value) as identifiers
    from unnest($1::text[], $2::text[], $3::jsonb[]) as u (catalog, product_id, former)
    join products as p on p.catalog = u.catalog and p.id = u.product_id
    join connections as c on c.settings ->> 'catalog' = p.catalog
    cross join lateral (
        select case c.settings ->> 'product_id_attribute'
            when 'id' then p.id
            when 'sku' then p.sku
            when 'ean' then p.ean
            else p.attributes ->> (c.settings ->> 'product_id_attribute')
        end as value
        union all
        select case
            when c.settings ->> 'product_id_attribute' in ('sku', 'ean')
                then u.former ->> (c.settings ->> 'product_id_attribute')
            else u.former -> 'attributes' ->> (c.settings ->> 'product_id_attribute')
        end
    ) as v
    where v.value is not null
    group by c.id
)
select o.connection, o.order_id from wanted as w
join orders as o on o.connection = w.connection and o.identifiers && w.identifiers
where o.state = 'pending_manual' and o.touched_by is null
order by o.purchased_at, o.order_id, o.connection
