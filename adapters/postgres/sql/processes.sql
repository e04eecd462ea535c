-- name: heartbeat
-- This process is alive, and is believed to be for another while.
insert into processes as p (holder, expires_at) values ($1, clock_timestamp() + $2::interval)
on conflict (holder) do update set expires_at = excluded.expires_at

-- name: leave
delete from processes
where holder = $1

-- name: end_silent
-- Processes not heard of are struck off and their sessions ended, so that no lock of theirs stays.
with silent as (
    select holder from processes
    where expires_at <= clock_timestamp() and holder <> $1
    for update skip locked
),
gone as (
    delete from processes as p using silent as s
    where p.holder = s.holder
    returning p.holder
)
select g.holder, count(*) filter (where pg_terminate_backend(a.pid)) as sessions from gone as g
left join pg_stat_activity as a
    on a.application_name = 'spartoo-sync ' || g.holder
    and a.datname = current_database() and a.usename = current_user
group by g.holder
