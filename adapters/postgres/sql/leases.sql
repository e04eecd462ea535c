-- name: hold
-- Ours if free, over or ours already; the epoch grows when the holder changes.
insert into leases as l (role, holder, epoch, expires_at)
values ($1, $2, 1, clock_timestamp() + $3::interval)
on conflict (role) do update set
    epoch = l.epoch + (l.holder is distinct from excluded.holder)::int,
    holder = excluded.holder, expires_at = clock_timestamp() + $3::interval
where l.holder is not distinct from excluded.holder or l.expires_at <= clock_timestamp()
returning epoch

-- name: release
-- Everything of this holder is free at once.
update leases set holder = null, expires_at = clock_timestamp()
where holder = $1

-- name: holder_of
select holder from leases
where role = $1 and expires_at > clock_timestamp()
