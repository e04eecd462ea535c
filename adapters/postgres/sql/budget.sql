-- name: lock
-- One caller of a service at a time counts.
select pg_advisory_xact_lock(hashtextextended('calls ' || $1 || ' ' || $2, 0))

-- name: room
-- How many calls may be made now: none while the service rests.
select case when not exists (
    select from rests where connection = $1 and service = $2 and until > clock_timestamp()
) then greatest(
    $3 - coalesce((
        select sum(calls) from calls
        where
            connection = $1 and service = $2
            and minute > clock_timestamp() - interval '61 minutes'
    ), 0), 0
) else 0 end::int

-- name: again_at
-- When the service may be called: null for now, the end of its rest, or when enough of the calls
-- are an hour old. A minute counts until all of it is.
select greatest(
    (
        select until from rests
        where connection = $1 and service = $2 and until > clock_timestamp()
    ),
    (
        select max(minute) + interval '61 minutes'
        from (
            select minute, sum(calls) over (order by minute desc) as since_then from calls
            where
                connection = $1 and service = $2
                and minute > clock_timestamp() - interval '61 minutes'
        ) as k
        where since_then >= $3
    )
)

-- name: count
-- So many more calls in this minute; what no longer counts goes.
with past as (
    delete from calls
    where
        connection = $1 and service = $2
        and minute <= clock_timestamp() - interval '61 minutes'
)
insert into calls as c (connection, service, minute, calls)
values ($1, $2, date_trunc('minute', clock_timestamp()), $3)
on conflict (connection, service, minute) do update set calls = c.calls + excluded.calls

-- name: rest
-- A service had enough: longer each time, an hour at most, and short again after an hour's peace.
-- Several callers told at once make one rest.
insert into rests as r (connection, service, until, step_seconds)
values ($1, $2, clock_timestamp() + $3::interval, extract(epoch from $3::interval))
on conflict (connection, service) do update set (step_seconds, until) = (
    select step, greatest(r.until, clock_timestamp() + make_interval(secs => step))
    from (
        select case
            when r.until <= clock_timestamp() - interval '1 hour' then excluded.step_seconds
            else least(r.step_seconds * 2, 3600)
        end as step
    ) as next
)
where r.until <= clock_timestamp()
returning until

-- name: resting_until
select until from rests
where connection = $1 and service = $2

-- name: remaining
-- Calls left in this hour where some were made.
select
    k.connection, k.service,
    greatest((c.settings ->> 'max_calls_per_hour')::int - sum(k.calls), 0)::int as remaining
from calls as k
join connections as c on c.id = k.connection
where
    k.minute > clock_timestamp() - interval '61 minutes'
    and ($1::text is null or k.connection = $1)
group by k.connection, k.service, c.settings ->> 'max_calls_per_hour'
