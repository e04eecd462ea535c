-- Units of an order that will never leave, once it is closed with what has left.
alter table orders add column not_shipped json not null default '[]';

-- The shipping services that a connection's orders have named.
create table shipping_services (
    connection text collate "C" not null references connections (id),
    name text not null,
    primary key (connection, name)
);
insert into shipping_services (connection, name)
select distinct connection, facts ->> 'shipping_service' from orders
where facts ->> 'shipping_service' <> '';

-- A list of shipping services that is the former default was written by nobody.
update connections set settings = (settings::jsonb - 'shipping_services')::json
where settings -> 'shipping_services' is not null and (settings -> 'shipping_services')::jsonb
    = '["Colissimo", "Chronopost", "Mondial Relay", "DPD", "UPS", "GLS", "DHL", "FedEx", "TNT",
        "Royal Mail"]';

-- The view again, with the new columns of its table.
drop view order_records;
create view order_records as
select
    o.*,
    (
        select json_object_agg(r.product_id, r.quantity) from reservations as r
        where r.order_id = o.order_id and r.connection = o.connection
    ) as reserved,
    (
        select json_object_agg(a.kind, a.status) from actions as a
        where
            a.order_id = o.order_id and a.connection = o.connection
            and not starts_with(a.kind, 'return_')
    ) as actions
from orders as o;
