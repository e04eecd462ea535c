-- name: begin
insert into imports (id, catalog, file, bytes, asked_by, started_at, touched_at)
values ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp())

-- name: note
-- How far it is.
update imports set
    bytes_read = $2, products = $3, changed = $4, bad_lines = $5, touched_at = clock_timestamp()
where id = $1

-- name: add_errors
insert into import_errors (import, line, message, text)
select $1, u.line, u.message, u.text
from unnest($2::int[], $3::text[], $4::text[]) with ordinality as u (line, message, text, n)
order by u.n

-- name: finish
update imports set finished_at = clock_timestamp(), touched_at = clock_timestamp(), error = $2
where id = $1

-- name: get
-- One import; it has stopped when nobody has worked on it for a while.
select
    id, catalog, file, bytes, bytes_read, products, changed, bad_lines, asked_by, started_at,
    finished_at, error,
    finished_at is null and touched_at < clock_timestamp() - interval '1 minute' as stopped
from imports
where id = $1

-- name: recent
-- The newest, running or over.
select
    id, catalog, file, bytes, bytes_read, products, changed, bad_lines, asked_by, started_at,
    finished_at, error,
    finished_at is null and touched_at < clock_timestamp() - interval '1 minute' as stopped
from imports
order by started_at desc
limit $1

-- name: errors
-- Unreadable lines in their order.
select id, line, message, text from import_errors
where import = $1 and id > $2
order by id
limit $3

-- name: forget
-- Reports of long ago.
delete from imports where started_at < clock_timestamp() - $1::interval
