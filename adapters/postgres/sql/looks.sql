-- name: start
-- What a connection looks at from now on; deep looks begin an interval later.
insert into looks (connection, look, due_at)
select $1, look, clock_timestamp() + case when look = 'deep' then $2::interval else '0' end
from unnest(array['fresh', 'open', 'deep']) as look
on conflict (connection, look) do update set
    due_at = case
        when looks.look = 'deep' then least(looks.due_at, excluded.due_at) else excluded.due_at
    end

-- name: claim_due
-- Takes looks that are due and not held. A site gets no more than its share, and so do all
-- connections whose last look failed: those that answer always find a place.
with due as (
    select
        l.connection, l.look, l.due_at, l.failures > 0 as failing,
        coalesce(c.settings ->> 'base_url', c.settings ->> 'site') as site
    from looks as l
    join connections as c on c.id = l.connection
    where
        l.due_at <= clock_timestamp() and coalesce(l.held_until <= clock_timestamp(), true)
        and c.active and c.suspended_at is null and c.id <> all ($8::text[])
),
at_sites as (
    select d.*, row_number() over (partition by d.site order by d.due_at) as place from due as d
),
with_room as (
    select s.*, row_number() over (partition by s.failing order by s.due_at) as among from at_sites as s
    left join unnest($5::text[], $6::int[]) as t (site, taken) on t.site = s.site
    where s.place <= $4 - coalesce(t.taken, 0)
),
chosen as materialized (
    select connection, look, site from with_room
    where not failing or among <= $7
    order by due_at
    limit $3
),
taken as (
    select l.connection, l.look, c.site from chosen as c
    join looks as l on l.connection = c.connection and l.look = c.look
    where l.due_at <= clock_timestamp() and coalesce(l.held_until <= clock_timestamp(), true)
    for update of l skip locked
)
update looks as l set
    holder = $1, held_until = clock_timestamp() + $2::interval, epoch = l.epoch + 1,
    started_at = clock_timestamp()
from taken as t
where l.connection = t.connection and l.look = t.look
returning l.connection, l.look, l.cursor, l.since, l.epoch, l.failures, l.due_at, t.site

-- name: heartbeat
-- Still making these; one that somebody changes this moment is not waited for.
with kept as (
    select connection, look from looks
    where
        holder = $1
        and (connection, look) in (select * from unnest($3::text[], $4::text[]))
    for no key update skip locked
)
update looks as l set held_until = clock_timestamp() + $2::interval
from kept as k
where l.connection = k.connection and l.look = k.look
returning l.connection, l.look

-- name: finish
-- One look is over; what was asked for while it ran stays due, a backfill that failed keeps its date.
update looks set
    due_at = case when due_at > started_at then due_at else $4::timestamptz end,
    cursor = coalesce($5, cursor),
    since = case when due_at > started_at or $6::text is not null then since end,
    holder = null, held_until = null, finished_at = clock_timestamp(),
    succeeded_at = case when $6::text is null then clock_timestamp() else succeeded_at end,
    error = $6, failures = case when $6::text is null then 0 else failures + 1 end, summary = $7
where connection = $1 and look = $2 and epoch = $3 and holder is not null
returning connection

-- name: release
-- What we hold is due at once for another.
update looks set holder = null, held_until = null
where holder = $1

-- name: request_fresh
update looks set due_at = clock_timestamp()
where connection = $1 and look = 'fresh'
returning connection

-- name: request_backfill
-- From the earliest date asked for.
insert into looks (connection, look, due_at, since)
values ($1, 'backfill', clock_timestamp(), $2)
on conflict (connection, look) do update set
    due_at = clock_timestamp(), since = least(looks.since, excluded.since)
returning connection

-- name: next_due
-- When the next look is due that nobody holds: the first of the index, however many there are.
select l.due_at from looks as l
join connections as c on c.id = l.connection
where
    l.due_at is not null and coalesce(l.held_until <= clock_timestamp(), true)
    and c.active and c.suspended_at is null
order by l.due_at
limit 1

-- name: state
-- How the looks of these connections, or of all, stand.
select
    connection, look, due_at, cursor, since, held_until, started_at, finished_at, succeeded_at,
    error, failures, summary
from looks
where cardinality($1::text[]) = 0 or connection = any ($1)
order by connection, look

-- name: last_successes
-- When each active connection was last looked at with success; null where it never was.
select c.id as connection, max(l.succeeded_at) as succeeded_at from connections as c
left join looks as l on l.connection = c.id
where c.active
group by c.id

-- name: come_back
-- The clock was set back: what is due further ahead than it can be is due now; full looks keep what
-- lies within a day or so.
update looks set
    due_at = case
        when look = 'deep' then least(due_at, clock_timestamp() + interval '25 hours')
        else least(due_at, clock_timestamp())
    end,
    held_until = least(held_until, clock_timestamp() + $1::interval)
where due_at > clock_timestamp() or held_until > clock_timestamp() + $1::interval
