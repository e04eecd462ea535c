-- name: add
insert into comments (connection, order_id, text, written_by, at) values ($1, $2, $3, $4, $5)

-- name: of_order
-- Every note on one order, oldest first.
select text, written_by, at from comments
where order_id = $2 and connection = $1
order by id
