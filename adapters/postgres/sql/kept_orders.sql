-- name: page
-- Newest first, without customers' data; the lines' prices only when asked for.
select
    order_id, purchased_at, state, decision, products,
    case when $6 then
        (
            select json_object_agg(line ->> 'line', line ->> 'unit_price_discounted')
            from json_array_elements(facts -> 'lines') as line
        )
    end as prices
from orders
where
    connection = $1
    and purchased_at >= coalesce($2::timestamptz, '-infinity')
    and purchased_at < coalesce($3::timestamptz, 'infinity')
    and purchased_at <= coalesce($4::timestamptz, 'infinity')
    and (purchased_at < coalesce($4::timestamptz, 'infinity') or order_id > $5::text)
order by purchased_at desc, order_id
limit $7
