-- name: advance_subjects
-- The last sequence of each subject after so many more; rows come in one order for every writer.
insert into subjects as s (source, subject, sequence)
select * from unnest($1::text[], $2::text[], $3::bigint[])
on conflict (source, subject) do update set sequence = s.sequence + excluded.sequence
returning source, subject, sequence

-- name: append
-- Position order is list order.
insert into events (
    id, type, source, subject, sequence, time, data, connection, order_id, catalog, traceparent
)
select
    u.id, u.type, u.source, u.subject, u.sequence, u.time, u.data, u.connection, u.order_id,
    u.catalog, u.traceparent
from unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::json[],
    $8::text[], $9::text[], $10::text[], $11::text[]
) with ordinality as u (
    id, type, source, subject, sequence, time, data, connection, order_id, catalog, traceparent, n
)
order by u.n

-- name: after
-- The log from a position on.
select * from events
where position > $1
order by position
limit $2

-- name: after_filtered
-- The log from a position on, one kind of event or one connection.
select * from events
where
    position > $1 and ($3::text is null or type = $3) and ($4::text is null or connection = $4)
order by position
limit $2

-- name: after_of_order
-- The log of one order from a position on.
select * from events
where
    position > $1 and order_id = $5 and ($3::text is null or type = $3)
    and ($4::text is null or connection = $4)
order by position
limit $2

-- name: newest
-- The log backwards, before a position or from its end.
select * from events
where $1::bigint is null or position < $1
order by position desc
limit $2

-- name: newest_of_subject
-- The log of one subject backwards: whatever bears that id, each source by the index.
with sources as (
    select '/spartoo/' || id as source from connections
    union all
    select '/spartoo/catalog/' || catalog from unnest($4::text[]) as catalog
)
select e.* from sources
cross join lateral (
    select * from events
    where
        source = sources.source and subject = $1 and ($2::bigint is null or position < $2)
    order by sequence desc
    limit $3
) as e
order by e.position desc
limit $3

-- name: at
-- Events by position.
select * from events
where position = any ($1::bigint[])
order by position

-- name: newest_position
select coalesce(max(position), 0) from events

-- name: relay_position
select position from relay

-- name: advance
-- Every event up to here is published; with an epoch, only the relay that holds the lease says so.
update relay set position = greatest(position, $1)
where
    $2::bigint is null
    or exists (
        select from leases where role = 'relay' and epoch = $2 and expires_at > clock_timestamp()
    )
returning position

-- name: oldest_running
-- Every transaction with a lower number is over.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint

-- name: next_transaction
-- Every transaction that has written anything up to now has a lower number. A snapshot's xmax will
-- not do: it is one past the last that is over, and others beyond it may be running.
select pg_current_xact_id()::text::bigint

-- name: backlog
-- What waits for the broker: exact while it is little, an upper bound when it is much.
select
    case when near.waiting <= 10000 then near.waiting else newest.position - relay.position end
        as waiting,
    oldest.time as oldest
from relay
cross join lateral (
    select count(*) as waiting from (
        select from events where position > relay.position limit 10001
    ) as near_rows
) as near
cross join lateral (
    select max(position) as position from events
) as newest
left join lateral (
    select time from events where position > relay.position order by position limit 1
) as oldest on true

-- name: notify
-- Wakes those who wait, once this is committed.
select pg_notify('spartoo_sync', topic) from unnest($1::text[]) as topic
