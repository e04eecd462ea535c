-- name: find
select pdf from slips
where order_id = $2 and connection = $1

-- name: keep
-- The first one stays.
insert into slips (connection, order_id, pdf, fetched_at) values ($1, $2, $3, $4)
on conflict (order_id, connection) do nothing
