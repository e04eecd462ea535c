-- name: lock
-- Row locks in one order, so that two replicas never deadlock; the rows are read afterwards,
-- because a statement that waited for a lock sees other tables as they were before.
select return_id from returns
where connection = $1 and return_id = any ($2::text[])
order by return_id
for update

-- name: read
select * from return_records
where connection = $1 and return_id = any ($2::text[])

-- name: find
-- A return by its id, in one connection or in all.
select * from return_records
where return_id = $1 and ($2::text is null or connection = $2)
order by connection

-- name: of_order
-- Every return of one order, oldest first.
select * from return_records
where order_id = $2 and connection = $1
order by requested_at, return_id

-- name: insert
-- Returns seen for the first time.
insert into returns (
    connection, return_id, order_id, state, spartoo_status, requested_at, fingerprint, facts,
    label_link, has_label, label_digest, touched_by, problem, first_seen_at, changed_at
)
select
    $1, u.return_id, u.order_id, u.state, u.spartoo_status, u.requested_at, u.fingerprint,
    u.facts, u.label_link, u.has_label, u.label_digest, u.touched_by, u.problem,
    u.first_seen_at, u.changed_at
from unnest(
    $2::text[], $3::text[], $4::text[], $5::int[], $6::timestamptz[], $7::bytea[], $8::json[],
    $9::text[], $10::boolean[], $11::text[], $12::text[], $13::json[], $14::timestamptz[],
    $15::timestamptz[]
) as u (
    return_id, order_id, state, spartoo_status, requested_at, fingerprint, facts, label_link,
    has_label, label_digest, touched_by, problem, first_seen_at, changed_at
)

-- name: update
-- Returns that moved; the fingerprint stays where none is given.
update returns as r set
    order_id = u.order_id, state = u.state, spartoo_status = u.spartoo_status,
    requested_at = u.requested_at, fingerprint = coalesce(u.fingerprint, r.fingerprint),
    facts = u.facts, label_link = u.label_link, has_label = u.has_label,
    label_digest = u.label_digest, touched_by = u.touched_by, problem = u.problem,
    first_seen_at = u.first_seen_at, changed_at = u.changed_at
from unnest(
    $2::text[], $3::text[], $4::text[], $5::int[], $6::timestamptz[], $7::bytea[], $8::json[],
    $9::text[], $10::boolean[], $11::text[], $12::text[], $13::json[], $14::timestamptz[],
    $15::timestamptz[]
) as u (
    return_id, order_id, state, spartoo_status, requested_at, fingerprint, facts, label_link,
    has_label, label_digest, touched_by, problem, first_seen_at, changed_at
)
where r.connection = $1 and r.return_id = u.return_id

-- name: add_history
-- The moves of a step, in their order.
insert into return_history (
    connection, return_id, from_state, to_state, trigger, requested_by, at
)
select $1, u.return_id, u.from_state, u.to_state, u.trigger, u.requested_by, u.at
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    with ordinality as u (return_id, from_state, to_state, trigger, requested_by, at, n)
order by u.n

-- name: history
-- Every move of one return, oldest first.
select from_state, to_state, trigger, requested_by, at from return_history
where return_id = $2 and connection = $1
order by id

-- name: fingerprints
-- What was last read of these returns; of one in quarantine, what could not be read.
select u.return_id, coalesce(q.fingerprint, r.fingerprint) as fingerprint
from unnest($2::text[], $3::text[]) as u (return_id, quarantine_key)
left join returns as r on r.connection = $1 and r.return_id = u.return_id
left join quarantine as q on q.connection = $1 and q.order_id = u.quarantine_key
where coalesce(q.fingerprint, r.fingerprint) is not null

-- name: keep_fingerprints
-- The XML differs, its meaning does not.
update returns as r set fingerprint = u.fingerprint
from unnest($2::text[], $3::bytea[]) as u (return_id, fingerprint)
where r.connection = $1 and r.return_id = u.return_id

-- name: page
-- Newest first; conditions that are null fall away when the statement is planned.
select r.* from return_records as r
join (
    select return_id, connection from returns
    where
        ($1::text is null or connection = $1)
        and ($2::text is null or state = $2)
        and ($3::text is null or order_id = upper($3) or order_id = $3)
        and ($4::boolean is null or (problem is not null) = $4)
        and requested_at <= coalesce($5::timestamptz, 'infinity')
        and (
            requested_at < coalesce($5::timestamptz, 'infinity')
            or (return_id, connection) > ($6::text, $7::text)
        )
    order by requested_at desc, return_id, connection
    limit $8
) as k using (return_id, connection)
order by r.requested_at desc, r.return_id, r.connection

-- name: keep_label
-- The label given last; one given before that was not sent yet is not sent any more.
insert into return_labels (connection, return_id, link, pdf) values ($1, $2, $3, $4)
on conflict (return_id, connection) do update set link = excluded.link, pdf = excluded.pdf

-- name: label
-- The label to be sent.
select link, pdf from return_labels
where return_id = $2 and connection = $1

-- name: drop_labels
-- The marketplace has them.
delete from return_labels
where connection = $1 and return_id = any ($2::text[])
