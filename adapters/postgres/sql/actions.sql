-- name: settle_of_orders
-- A step settled these intentions. One that is on its way to the marketplace is withdrawn instead
-- of superseded: its answer settles it, and it is not tried again.
with found as (
    select a.id, u.status, u.status = 'superseded' and coalesce(a.held_until > now(), false) as sent
    from actions as a
    join unnest($2::text[], $3::text[], $4::text[]) as u (order_id, kind, status)
        on a.order_id = u.order_id and a.kind = u.kind
    where a.connection = $1 and a.status in ('pending', 'failed')
    order by a.id
    for update of a
)
update actions as a set
    withdrawn = f.sent,
    status = case when f.sent then a.status else f.status end,
    settled_at = case when f.sent then a.settled_at else now() end,
    holder = case when f.sent then a.holder end,
    held_until = case when f.sent then a.held_until end
from found as f
where a.id = f.id

-- name: want_again
-- Intentions that were withdrawn while on their way and are wanted again before their answer came.
update actions as a set withdrawn = false, reason = u.reason, requested_by = u.requested_by
from unnest($2::text[], $3::text[], $4::text[], $5::text[])
    as u (order_id, kind, reason, requested_by)
where a.connection = $1 and a.order_id = u.order_id and a.kind = u.kind and a.withdrawn

-- name: queue
-- New intentions. One that waits stays as it is, one that failed starts again behind the others
-- (an earlier try may have arrived all the same, so `unsure` stays; so may one of another kind,
-- tried and then given up for this one);
-- of those that are done only a reading, and sending another label, are done again.
insert into actions as a (
    connection, order_id, kind, reason, requested_by, due_at, created_at, traceparent, unsure
)
select
    $1, u.order_id, u.kind, u.reason, u.requested_by, now(), now(), u.traceparent,
    exists (
        select from actions as e
        where
            e.order_id = u.order_id and e.connection = $1 and e.kind <> u.kind
            and (e.status = 'superseded' or e.withdrawn) and e.unsure
    )
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    with ordinality as u (order_id, kind, reason, requested_by, traceparent, n)
order by u.n
on conflict (order_id, connection, kind) do update set
    id = default, status = 'pending', attempts = 0, result = null,
    reason = excluded.reason, requested_by = excluded.requested_by, due_at = excluded.due_at,
    created_at = excluded.created_at, settled_at = null, traceparent = excluded.traceparent,
    unsure = a.unsure or excluded.unsure, withdrawn = false
where
    a.status in ('failed', 'superseded')
    or (a.status = 'done' and a.kind in ('fetch', 'return_label'))

-- name: request_fetch
-- Read an order again, now; a second request joins the first.
insert into actions as a (
    connection, order_id, kind, requested_by, due_at, created_at, traceparent
)
values ($1, $2, 'fetch', $3, now(), now(), $4)
on conflict (order_id, connection, kind) do update set
    attempts = case when a.status = 'pending' then a.attempts else 0 end,
    result = case when a.status = 'pending' then a.result end,
    created_at = case when a.status = 'pending' then a.created_at else excluded.created_at end,
    traceparent = excluded.traceparent, requested_by = excluded.requested_by,
    due_at = least(a.due_at, excluded.due_at),
    status = 'pending', settled_at = null
returning id

-- name: claim
-- Takes what is due, the same share for each connection, and marks it as possibly sent: should we
-- die, the next one reads the order first. The last look at each row is at its newest version.
with recursive queue (connection, kind) as (
    (
        select connection, kind from actions
        where status = 'pending' order by connection, kind limit 1
    )
    union all
    select n.connection, n.kind from queue as q
    cross join lateral (
        select a.connection, a.kind from actions as a
        where a.status = 'pending' and (a.connection, a.kind) > (q.connection, q.kind)
        order by a.connection, a.kind limit 1
    ) as n
),
held as materialized (
    select connection, count(*) as actions from actions
    where holder is not null and held_until > now()
    group by connection
),
room as materialized (
    select q.connection, q.kind, $3 - coalesce(h.actions, 0) as free, b.calls_left from queue as q
    join connections as c on c.id = q.connection
    left join held as h on h.connection = q.connection
    cross join lateral (
        select case
            when q.kind = 'fetch' then 'xml_export_orders'
            when starts_with(q.kind, 'return_') then 'xml_maj_returns'
            else 'xml_maj_orders'
        end as service
    ) as s
    cross join lateral (
        select (c.settings ->> 'max_calls_per_hour')::int - coalesce(sum(k.calls), 0) as calls_left
        from calls as k
        where
            k.connection = q.connection and k.service = s.service
            and k.minute > clock_timestamp() - interval '61 minutes'
    ) as b
    where
        c.active and c.suspended_at is null and coalesce(h.actions < $3, true)
        and c.id <> all ($5::text[])
        and b.calls_left > 0
        and not exists (
            select from rests as r
            where r.connection = q.connection and r.until > now() and r.service = s.service
        )
),
ready as (
    select
        a.id, a.due_at, r.free,
        row_number() over (partition by r.connection order by a.due_at, a.id) as place
    from room as r
    cross join lateral (
        select w.id, w.due_at from actions as w
        where
            w.connection = r.connection and w.kind = r.kind and w.status = 'pending'
            and w.due_at <= now() and coalesce(w.held_until <= now(), true)
            and (
                w.kind = 'fetch'
                -- The first of its order. Compared so that, whatever the statistics say, the
                -- index by order is read, never all that waits at the connection.
                or w.id = (
                    select min(e.id) from actions as e
                    where
                        e.order_id = w.order_id and e.connection is not distinct from w.connection
                        and e.settled_at is null and e.kind <> 'fetch'
                )
            )
        order by w.due_at
        limit least(r.free, r.calls_left)
    ) as a
),
chosen as materialized (
    select id from ready
    where place <= free
    order by due_at, id
    limit $4
),
taken as (
    select a.id, a.unsure from chosen as c
    join actions as a on a.id = c.id
    where
        a.settled_at is null and a.due_at <= now() and coalesce(a.held_until <= now(), true)
    order by a.id
    for update of a skip locked
)
update actions as a set
    holder = $1, held_until = now() + $2::interval, attempts = a.attempts + 1, unsure = true
from taken as t
where a.id = t.id
returning
    a.id, a.connection, a.order_id, a.kind, a.reason, a.requested_by, a.attempts, t.unsure,
    a.held_until, a.traceparent

-- name: heartbeat
-- Still at work on these; one that is being settled this moment is not waited for.
with kept as (
    select id from actions
    where holder = $1 and status = 'pending' and id = any ($3::bigint[])
    for no key update skip locked
)
update actions as a set held_until = clock_timestamp() + $2::interval
from kept where a.id = kept.id
returning a.id

-- name: wanted
-- Of these, those that are still ours and that nobody has withdrawn.
select id from actions
where
    id = any ($2::bigint[]) and holder = $1 and status = 'pending' and not withdrawn
    and held_until > clock_timestamp()

-- name: settle
-- They are done, or never will be; only while they are ours, or the same step has just said so.
update actions as a set
    status = u.status, result = u.result, settled_at = now(), holder = null, held_until = null,
    withdrawn = false
from unnest($2::bigint[], $3::text[], $4::json[]) as u (id, status, result)
where
    a.id = u.id
    and (
        (a.holder = $1 and a.status = 'pending') or (a.status = u.status and a.settled_at = now())
    )
returning a.id

-- name: postpone
-- Another try later; only while it is ours. One that was withdrawn is over unless a try of it may
-- have arrived: then the marketplace is read first.
update actions set
    status = case when withdrawn and not $4 then 'superseded' else status end,
    settled_at = case when withdrawn and not $4 then now() end,
    withdrawn = withdrawn and $4,
    due_at = $3, unsure = $4, result = $5, holder = null, held_until = null
where id = $1 and holder = $2 and status = 'pending'
returning id

-- name: find
-- Every intention for one order, or for one return, oldest first.
select
    id, connection, order_id, kind, reason, requested_by, status, attempts, unsure, due_at,
    held_until, result, created_at, settled_at
from actions
where order_id = $2 and connection = $1 and starts_with(kind, 'return_') = $3
order by id

-- name: pending
-- What waits, and since when; what waits for its connection to be active again has no age.
select
    a.connection, a.kind, count(*) as waiting,
    min(a.created_at) filter (where c.active and c.suspended_at is null) as oldest
from actions as a
join connections as c on c.id = a.connection
where a.status = 'pending'
group by a.connection, a.kind
