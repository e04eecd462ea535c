-- name: add
-- Calls about orders, in their order.
insert into communications (connection, order_id, service, result, summary, at)
select u.connection, u.order_id, u.service, u.result, u.summary, u.at
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    with ordinality as u (connection, order_id, service, result, summary, at, n)
order by u.n

-- name: of_order
-- The newest calls, commands and events of one order; none of it tells of a person.
select at, direction, kind, name, result, summary from (
    (
        select
            at, 'out' as direction, 'call' as kind, service as name, result, summary, id as place
        from communications
        where order_id = $2 and connection = $1
        order by id desc
        limit $3
    )
    union all
    (
        select
            received_at, 'in', 'command', command, reply ->> 'status',
            concat_ws('; ', 'by ' || (body ->> 'by'), reply #>> '{error,code}'), 0
        from commands
        where
            command like 'order.%' and body ->> 'order_id' = $2 and body ->> 'connection' = $1
        order by received_at desc
        limit $3
    )
    union all
    (
        select
            e.time, 'out', 'event', e.type,
            case when e.position <= relay.position then 'published' else 'waiting' end,
            concat_ws(
                '; ', 'sequence ' || e.sequence, 'to ' || (e.data #>> '{transition,to}'),
                e.data #>> '{problem,code}'
            ),
            e.position
        from events as e cross join relay
        where e.order_id = $2 and e.connection = $1
        order by e.position desc
        limit $3
    )
) as each
order by at desc, place desc
limit $3
