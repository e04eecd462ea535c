-- name: put
-- Says since when, if this is news: not there before, or other XML or another error. Of an order
-- whose customer was erased no XML is kept.
with before as (
    select xml, error from quarantine where connection = $1 and order_id = $2
)
insert into quarantine as q (
    connection, order_id, fingerprint, xml, error, first_seen_at, last_seen_at, read_from
)
select
    $1, $2, $3,
    case
        when
            exists (
                select from orders
                where connection = $1 and order_id = $2 and erased_at is not null
            )
            then ''
        else $4::bytea
    end,
    $5, $6, $6, $7
on conflict (connection, order_id) do update set
    fingerprint = excluded.fingerprint, xml = excluded.xml, error = excluded.error,
    last_seen_at = excluded.last_seen_at, read_from = excluded.read_from
returning
    case
        when not exists (select from before where xml = q.xml and error = q.error)
            then q.first_seen_at
    end

-- name: remove
-- They could be read.
delete from quarantine where connection = $1 and order_id = any ($2::text[])

-- name: remove_gone
-- What had no id and is not among these, though a look reached as far back as the one that found
-- it, and began after that: its XML has changed, or is no more.
delete from quarantine
where
    connection = $1 and starts_with(order_id, $2) and order_id <> all ($3::text[])
    and read_from >= $4 and last_seen_at < $5

-- name: page
-- By connection and id.
select connection, order_id, xml, error, first_seen_at, last_seen_at from quarantine
where
    ($1::text is null or connection = $1)
    and (connection, order_id) > (coalesce($2::text, ''), coalesce($3::text, ''))
order by connection, order_id
limit $4

-- name: get
-- By id, in one connection or in all.
select connection, order_id, xml, error, first_seen_at, last_seen_at from quarantine
where order_id = $1 and ($2::text is null or connection = $2)
order by connection

-- name: reopen
-- To be read again when next seen, changed or not.
update quarantine set fingerprint = null
where connection = $1 and order_id = $2
returning order_id

-- name: counts
select connection, count(*) as orders from quarantine
group by connection
