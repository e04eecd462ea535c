-- name: lock
-- Two deliveries of one command come one after the other.
select pg_advisory_xact_lock(hashtextextended('command ' || $1, 0))

-- name: seen
select body, reply from commands where id = $1

-- name: keep
insert into commands (id, command, body, reply) values ($1, $2, $3, $4)
