-- name: mark
-- Availability that is not what the marketplace last took is to be told, at every connection that
-- pushes out of the product's catalogue; what is being told at this moment, once more.
with moved as (
    select p.catalog, p.id, greatest(p.stock - p.reserved, 0) as available, u.reference
    from unnest($1::text[], $2::text[], $3::text[]) as u (catalog, product_id, reference)
    join products as p on p.catalog = u.catalog and p.id = u.product_id
    where p.as_of is not null
)
insert into stock_pushes as s (connection, catalog, product_id, reference, due_at)
select c.id, m.catalog, m.id, case when c.id = $4 then m.reference end, now()
from moved as m
join connections as c
    on c.settings ->> 'catalog' = m.catalog and c.settings ->> 'push_stock' = 'true'
left join stock_pushes as k
    on k.connection = c.id and k.catalog = m.catalog and k.product_id = m.id
where k.due_at is not null or k.sent is distinct from m.available
order by c.id, m.catalog, m.id
on conflict (connection, catalog, product_id) do update set
    reference = coalesce(excluded.reference, s.reference), version = s.version + 1,
    due_at = least(s.due_at, excluded.due_at), attempts = 0
returning 1

-- name: mark_all
-- Everything whose stock is known is to be told anew; how many products, per connection.
with marked as (
    insert into stock_pushes as s (connection, catalog, product_id, due_at)
    select c.id, p.catalog, p.id, now() from connections as c
    join products as p on p.catalog = c.settings ->> 'catalog' and p.as_of is not null
    where c.settings ->> 'push_stock' = 'true' and ($1::text is null or c.id = $1)
    order by c.id, p.catalog, p.id
    on conflict (connection, catalog, product_id) do update set
        version = s.version + 1, due_at = excluded.due_at, attempts = 0
    returning connection
)
select connection, count(*) as products from marked
group by connection

-- name: due
-- Connections that have something to tell and may be called, longest waiting first, each with its
-- site.
select c.id, coalesce(c.settings ->> 'base_url', c.settings ->> 'site') as site
from connections as c
cross join lateral (
    select min(s.due_at) as due_at from stock_pushes as s
    where s.connection = c.id and s.catalog = c.settings ->> 'catalog'
) as first
where
    c.settings ->> 'push_stock' = 'true' and c.active and c.suspended_at is null
    and first.due_at <= now()
    and not exists (
        select from rests as r
        where
            r.connection = c.id and r.service = 'xml_maj_stock_batch'
            and r.until > clock_timestamp()
    )
order by first.due_at, c.id

-- name: batch
-- What one connection has to tell now, longest waiting first, as the catalogue stands.
select
    s.version, s.attempts, s.reference, p.catalog, p.id, p.sku, p.ean, p.name, p.stock, p.as_of,
    p.reserved, p.price_final_incl_tax, p.price_original_incl_tax, p.currency, p.attributes
from stock_pushes as s
join products as p on p.catalog = s.catalog and p.id = s.product_id
where s.connection = $1 and s.catalog = $2 and s.due_at <= now()
order by s.due_at, s.product_id
limit $3

-- name: settle
-- The answers; what was marked again meanwhile stays due. Locked in the order of marking.
with answered as materialized (
    select u.* from stock_pushes as s
    join unnest($3::text[], $4::bigint[], $5::int[], $6::text[])
        as u (product_id, version, sent, error) on u.product_id = s.product_id
    where s.connection = $1 and s.catalog = $2
    order by s.product_id
    for update of s
)
update stock_pushes as s set
    sent = a.sent, error = a.error, pushed_at = now(), attempts = 0,
    due_at = case when s.version <> a.version then s.due_at end
from answered as a
where s.connection = $1 and s.catalog = $2 and s.product_id = a.product_id

-- name: postpone
-- The call failed: these are tried again later, unless they were marked again meanwhile.
with failed as materialized (
    select u.* from stock_pushes as s
    join unnest($3::text[], $4::bigint[]) as u (product_id, version)
        on u.product_id = s.product_id
    where s.connection = $1 and s.catalog = $2
    order by s.product_id
    for update of s
)
update stock_pushes as s set error = $6, attempts = s.attempts + 1, due_at = $5
from failed as f
where
    s.connection = $1 and s.catalog = $2 and s.product_id = f.product_id
    and s.version = f.version

-- name: told
-- How these products stand at each connection that was told of them, or is to be.
select s.connection, s.product_id, s.sent, s.error, s.pushed_at, s.due_at, s.attempts
from connections as c
join stock_pushes as s
    on s.connection = c.id and s.catalog = $1 and s.product_id = any ($2::text[])
order by s.product_id, s.connection

-- name: pending
-- Products that wait to be told.
select c.id as connection, count(*) as products from connections as c
join stock_pushes as s
    on s.connection = c.id and s.catalog = c.settings ->> 'catalog' and s.due_at is not null
where c.settings ->> 'push_stock' = 'true'
group by c.id
