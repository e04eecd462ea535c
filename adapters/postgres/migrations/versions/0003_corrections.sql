-- The shipping services that a connection's orders have named.
create table shipping_services (
    connection text collate "C" not null,
    name text not null,
    primary key (connection, name)
);
insert into shipping_services (connection, name)
select distinct c.id, o.name from connections as c
cross join lateral (
    select facts ->> 'shipping_service' as name from orders
    where connection = c.id
    order by purchased_at desc
    limit 500 -- the newest tell enough
) as o
where o.name <> '';

-- A list of shipping services that is the former default was written by nobody.
update connections set settings = (settings::jsonb - 'shipping_services')::json
where settings -> 'shipping_services' is not null and (settings -> 'shipping_services')::jsonb
    = '["Colissimo", "Chronopost", "Mondial Relay", "DPD", "UPS", "GLS", "DHL", "FedEx", "TNT",
        "Royal Mail"]';

-- From here on each statement is brief: new columns with a default, and views.
-- Units of an order that will never leave, once it is closed with what has left.
alter table orders add column not_shipped json not null default '[]';

-- An acceptance that is no longer wanted while its call is on its way: it is never sent again.
alter table actions add column withdrawn boolean not null default false;

-- Connections whose settings changed so that their open orders are to be stepped once.
create table settings_changes (
    id bigint generated always as identity primary key,
    connection text collate "C" not null references connections (id),
    changed_at timestamptz not null
);

-- A product's former identifying values: orders that matched by one are decided again too.
alter table product_changes add column former jsonb;

-- The views again: with the new columns, the catalogue of an order's reservations, and what is
-- withdrawn as superseded.
drop view order_records;
create view order_records as
select
    o.*,
    r.reserved,
    r.reserved_in,
    (
        select
            json_object_agg(
                a.kind,
                case when a.withdrawn and a.status = 'pending' then 'superseded' else a.status end
            )
        from actions as a
        where
            a.order_id = o.order_id and a.connection = o.connection
            and not starts_with(a.kind, 'return_')
    ) as actions
from orders as o
cross join lateral (
    select json_object_agg(r.product_id, r.quantity) as reserved, max(r.catalog) as reserved_in
    from reservations as r
    where r.order_id = o.order_id and r.connection = o.connection
) as r;

drop view return_records;
create view return_records as
select
    r.*,
    (
        select
            json_object_agg(
                a.kind,
                case when a.withdrawn and a.status = 'pending' then 'superseded' else a.status end
            )
        from actions as a
        where
            a.order_id = r.return_id and a.connection = r.connection
            and starts_with(a.kind, 'return_')
    ) as actions
from returns as r;
