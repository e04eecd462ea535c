-- name: now
-- The one clock that all replicas share.
select clock_timestamp()
