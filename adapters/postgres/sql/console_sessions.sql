-- name: end
insert into ended_sessions (id, until) values ($1, $2)
on conflict (id) do nothing

-- name: ended
select id from ended_sessions where id = $1

-- name: forget
-- Those that are over anyway.
delete from ended_sessions where until < now()
