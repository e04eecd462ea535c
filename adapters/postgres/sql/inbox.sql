-- name: lock
-- Two deliveries of one command come one after the other; always locked in the same order.
select pg_advisory_xact_lock(key) from (
    select hashtextextended('command ' || id, 0) as key from unnest($1::text[]) as id
    order by key
) as keys

-- name: seen
select id, body, reply from commands where id = any ($1::text[])

-- name: keep
insert into commands (id, command, body, reply)
select * from unnest($1::text[], $2::text[], $3::json[], $4::json[])
