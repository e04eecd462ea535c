-- name: read
-- All connections, or these.
select
    id, settings, active, version, added_at, suspended_at, suspended_reason, suspended_message,
    api_key is not null as has_key
from connections
where $1::text[] is null or id = any ($1)
order by id

-- name: names
-- By id, whether each is active.
select id, active from connections
order by id
limit $1

-- name: page
-- By id, those whose id begins so.
select
    id, settings, active, version, added_at, suspended_at, suspended_reason, suspended_message,
    api_key is not null as has_key
from connections
where id > coalesce($2::text, '') and ($1::text is null or starts_with(id, $1))
order by id
limit $3

-- name: lock
-- One connection, until the transaction ends.
select
    id, settings, active, version, added_at, suspended_at, suspended_reason, suspended_message,
    api_key is not null as has_key
from connections
where id = $1
for update

-- name: add
insert into connections (id, settings, active, api_key, added_at)
values ($1, $2, $3, $4, $5)
on conflict (id) do nothing
returning id

-- name: update
-- The key stays where none is given.
update connections set
    settings = $2, active = $3, api_key = coalesce($4, api_key), version = version + 1
where id = $1

-- name: api_key
select api_key from connections where id = $1

-- name: keys
-- Every sealed key, for sealing them anew.
select id, api_key from connections where api_key is not null
order by id
for update

-- name: replace_keys
update connections as c set api_key = u.api_key
from unnest($1::text[], $2::bytea[]) as u (id, api_key)
where c.id = u.id

-- name: suspend
-- Only what is not suspended yet, and was not changed since the version that gave the reason.
update connections set suspended_at = $4, suspended_reason = $2, suspended_message = $3
where id = $1 and suspended_at is null and version = coalesce($5, version)
returning id

-- name: resume
-- Whether it was suspended; its version moves on, so that no call begun before suspends it again.
update connections as c set
    suspended_at = null, suspended_reason = null, suspended_message = null, version = c.version + 1
from connections as before
where c.id = $1 and before.id = $1
returning before.suspended_at is not null as was_suspended

-- name: lock_plan
-- One activation at a time, so that two never take the plan's last place.
select pg_advisory_xact_lock(hashtextextended('plan', 0))

-- name: active_count
select count(*) from connections where active

-- name: note_change
-- Its open orders are to be stepped once.
insert into settings_changes (connection, changed_at) values ($1, now())

-- name: take_change
-- Two replicas never take the same; changes of one connection are one.
with taken as (
    select connection from settings_changes
    where connection <> all ($1::text[])
    order by id
    limit 1
    for update skip locked
)
delete from settings_changes where connection in (select connection from taken)
returning connection

-- name: sealed
-- Every sealed key.
select id, api_key from connections where api_key is not null
