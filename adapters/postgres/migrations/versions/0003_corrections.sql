-- Only additions: a daemon of the version before reads and writes beside them.
select 1;

-- Actions that were withdrawn while they were on their way to the marketplace: orders and returns
-- show them as superseded, and no later try of them is sent.
alter table actions add column withdrawn boolean not null default false;
create or replace view order_records as
select
    o.*,
    (
        select json_object_agg(r.product_id, r.quantity) from reservations as r
        where r.order_id = o.order_id and r.connection = o.connection
    ) as reserved,
    (
        select json_object_agg(a.kind, case when a.withdrawn then 'superseded' else a.status end)
        from actions as a
        where
            a.order_id = o.order_id and a.connection = o.connection
            and not starts_with(a.kind, 'return_')
    ) as actions
from orders as o;
create or replace view return_records as
select
    r.*,
    (
        select json_object_agg(a.kind, case when a.withdrawn then 'superseded' else a.status end)
        from actions as a
        where
            a.order_id = r.return_id and a.connection = r.connection
            and starts_with(a.kind, 'return_')
    ) as actions
from returns as r;
