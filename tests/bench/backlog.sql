-- subjects: orders, each with two events
insert into subjects (source, subject, sequence)
select '/spartoo/shop', 'order-' || n, 2 from generate_series(0, $1::int / 2 - 1) as n

-- events: blocks of so many orders seen, and then the same shipped
insert into events (id, type, source, subject, sequence, time, data, connection, order_id)
select
    gen_random_uuid(), case sequence when 1 then 'order.new' else 'order.shipped' end,
    '/spartoo/shop', 'order-' || n, sequence, now(), $2::json, 'shop', 'order-' || n
from generate_series(0, $1::int / 2 - 1) as n cross join generate_series(1, 2) as sequence
order by n / 500, sequence, n
