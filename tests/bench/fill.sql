-- connections: fifty of very different size, none active
insert into connections (id, settings, active, added_at)
select 'shop-' || to_char(n, 'FM00'), '{"timezone": "Europe/Paris"}', false, now() - interval '3 years'
from generate_series(0, 49) as n

-- products
insert into products (
    catalog, id, sku, ean, name, stock, as_of, reserved, price_final_incl_tax,
    price_original_incl_tax, currency, attributes, updated_at
)
select
    'default', 'P' || n, 'SKU-' || n, (4000000000000 + n)::text,
    (array['Boot', 'Sandal', 'Trainer', 'Loafer', 'Pump', 'Derby', 'Mule', 'Clog'])[1 + n % 8]
    || ' ' || (array['Acme', 'Zenith', 'Fargo', 'Nimbus', 'Orion'])[1 + n / 8 % 5] || ' M' || n / 40,
    n % 30, now(), 0, 40 + n % 90, 50 + n % 90, 'EUR',
    jsonb_build_object('color', 'c' || n % 50, 'size', (35 + n % 12)::text), now()
from generate_series(1, current_setting('fill.orders')::int / 10) as n

-- orders, what each is: a minute apart, the shops' shares falling off, most of them shipped
create temporary table drawn as
select
    n, upper(substr(md5(n::text), 1, 16)) as order_id,
    'shop-' || to_char(floor(50 * power(random(), 3)), 'FM00') as connection,
    now() - n * interval '1 minute' as purchased_at,
    case
        when n <= 40 then 'new'
        when n % 400 = 0 then 'pending_manual'
        when n <= 2000 then 'accepted'
        when n <= 8000 then 'synced'
        when n % 25 = 0 then 'cancelled'
        when n % 5000 = 1 then 'lost'
        when n % 3000 = 1 then 'undelivered'
        else 'shipped'
    end as state,
    (array['Ada', 'Marie', 'Jean', 'Luc', 'Zoé', 'Anna', 'Paul', 'Emma', 'Hugo', 'Inès'])[1 + n % 10]
        as first_name,
    'Name' || to_char(floor(20000 * random() * random()), 'FM00000') as last_name,
    1 + (random() * current_setting('fill.orders')::int / 10)::int as product,
    50 + n % 80 as price
from generate_series(1, current_setting('fill.orders')::int) as n

-- orders
insert into orders (
    order_id, connection, state, spartoo_status, purchased_at, fingerprint, facts, decision,
    products, store_order_id, first_seen_at, changed_at, shipments, problem, identifiers
)
select
    order_id, connection, state, 3, purchased_at, decode(md5(order_id), 'hex'),
    json_build_object(
        'order_id', order_id, 'status', 3, 'purchased_at', purchased_at, 'modified_at', purchased_at,
        'currency', 'EUR', 'total', price || '.99', 'shipping_price', '0.00',
        'shipping_service', 'Colissimo', 'payment', json_build_object('method', 'CB', 'price', '0.00'),
        'customer', json_build_object(
            'first_name', first_name, 'last_name', last_name,
            'company', case when n % 20 = 0 then 'Company ' || n % 3000 else '' end,
            'email', lower(first_name || '.' || last_name) || n % 1000 || '@example.org',
            'phone', '0102030405'
        ),
        'billing_address', address, 'shipping_address', address, 'relay', null,
        'lines', json_build_array(json_build_object(
            'line', 1, 'reference', 'P' || product, 'size_reference', 'P' || product || '_38',
            'spartoo_product_id', product, 'name', 'Boot', 'brand', 'Acme', 'size', '38',
            'color', 'red', 'quantity', 1, 'unit_price', price + 10 || '.99',
            'unit_price_discounted', price || '.99', 'line_total', price || '.99'
        ))
    ),
    json_build_object(
        'outcome', case when n % 400 = 0 then 'hold' else 'accept' end,
        'reasons', case when n % 400 = 0 then '["price_below_threshold"]'::json else '[]' end,
        'checks', json_build_array(
            json_build_object('line', 1, 'check', 'product', 'passed', true, 'detail', 'id P' || product),
            json_build_object('line', 1, 'check', 'stock', 'passed', true, 'detail', '5 available, 1 ordered'),
            json_build_object(
                'line', 1, 'check', 'price', 'passed', n % 400 <> 0,
                'detail', price || '.99 ≥ 0.97 × 51.00 = 49.47'
            )
        ),
        'settings', json_build_object(
            'auto_accept', true, 'price_attribute', 'price_final_incl_tax',
            'price_threshold', '0.97', 'product_id_attribute', 'id'
        ),
        'at', purchased_at
    ),
    json_build_object('1', 'P' || product), case when n % 2 = 0 then 'S-' || n end, purchased_at,
    purchased_at, '[]',
    case when n % 4000 = 0 then json_build_object(
        'code', 'rejected', 'message', 'Spartoo refused', 'action', 'accept', 'at', purchased_at
    ) end,
    array['P' || product || '_38', 'P' || product]
from drawn
cross join lateral (
    select json_build_object(
        'first_name', first_name, 'last_name', last_name, 'company', '',
        'street', n % 200 || ' rue de la Paix', 'suburb', '', 'city', 'Paris', 'postcode', '75001',
        'state', '', 'country', 'France'
    ) as address
) as a
order by n desc

-- the words they are found by
insert into order_search (order_id, connection, purchased_at, words)
select
    order_id, connection, purchased_at,
    array_to_tsvector(array_remove(array[
        '@' || connection, lower(order_id), translate(lower(first_name), 'éè', 'ee'),
        lower(last_name), 'example.org', 'p' || product,
        'email:' || lower(first_name || '.' || last_name) || n % 1000 || '@example.org',
        'p' || product || '_38', case when n % 2 = 0 then 's-' || n end,
        case when n % 20 = 0 then 'company' end, case when n % 20 = 0 then (n % 3000)::text end
    ], null))
from drawn
order by n desc

-- moves: three an order
insert into order_history (
    connection, order_id, from_state, to_state, trigger, requested_by, at
)
select connection, order_id, from_state, to_state, trigger, 'automatic', purchased_at
from drawn cross join (
    values (null, 'new', 'see'), ('new', 'accepted', 'accept'), ('accepted', 'synced', 'publish')
) as moves (from_state, to_state, trigger)
order by n desc

-- events: two an order, and a few of the rare kinds
insert into events (id, type, source, subject, sequence, time, data, connection, order_id)
select
    gen_random_uuid(), type, '/spartoo/' || connection, order_id, sequence, purchased_at,
    json_build_object('order', json_build_object('order_id', order_id, 'filler', repeat('x', 300))),
    connection, order_id
from drawn cross join (values ('order.new', 1), ('order.accepted', 2)) as kinds (type, sequence)
order by n desc, sequence

-- events of a rare kind, long ago
update events set type = 'connection.suspended', order_id = null, subject = connection || position
where position in (select 1 + 1000 * n from generate_series(0, 9) as n)

-- subjects
insert into subjects (source, subject, sequence)
select '/spartoo/' || connection, order_id, 2 from drawn

-- actions: one an order, some pending
insert into actions (
    connection, order_id, kind, requested_by, status, due_at, created_at, settled_at
)
select
    connection, order_id, 'accept', 'automatic', case when n % 20000 = 0 then 'pending' else 'done' end,
    purchased_at, purchased_at, case when n % 20000 <> 0 then purchased_at end
from drawn order by n desc

-- returns: one in twenty orders
insert into returns (
    return_id, connection, order_id, state, spartoo_status, requested_at, facts, has_label,
    first_seen_at, changed_at, problem
)
select
    'R' || n, connection, order_id,
    case when n % 2000 = 0 then 'requested' when n % 600 = 0 then 'refused' else 'refunded' end, 7,
    purchased_at + interval '3 days',
    json_build_object(
        'return_id', 'R' || n, 'order_id', order_id, 'status', 7, 'requested_at', purchased_at,
        'reason', 'too small', 'item', '{}'::json
    ),
    false, purchased_at, purchased_at,
    case when n % 40000 = 0 then json_build_object(
        'code', 'rejected', 'message', 'Spartoo refused', 'action', null, 'at', purchased_at
    ) end
from drawn where n % 20 = 0 order by n desc

-- quarantine: one in a thousand
insert into quarantine (
    connection, order_id, fingerprint, xml, error, first_seen_at, last_seen_at
)
select connection, order_id, decode(md5(order_id), 'hex'), repeat('<x/>', 500)::bytea, 'no date',
    purchased_at, purchased_at
from drawn where n % 1000 = 0

-- the relay has published all but the newest
update relay set position = (select max(position) - 50 from events)

-- counts
insert into state_counts (kind, connection, state, records)
select kind, connection, state, sum(change) from state_count_changes group by kind, connection, state

-- notes that were counted
truncate state_count_changes

-- statistics, and the visibility map as autovacuum leaves it
vacuum analyze
