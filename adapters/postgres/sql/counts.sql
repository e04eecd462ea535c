-- name: by_state
-- How many records of a kind stand where: what was counted, and the notes since.
select connection, state, sum(records)::bigint as records from (
    select connection, state, records from state_counts where kind = $1
    union all
    select connection, state, change from state_count_changes where kind = $1
) as counted
group by connection, state
having sum(records) <> 0

-- name: fold
-- Notes become counts; two replicas never take the same, and lock counts in one order.
with taken as (
    delete from state_count_changes
    where id in (
        select id from state_count_changes
        order by id
        limit 20000
        for update skip locked
    )
    returning kind, connection, state, change
)
insert into state_counts as c (kind, connection, state, records)
select kind, connection, state, sum(change) from taken
group by kind, connection, state
having sum(change) <> 0
order by kind, connection, state
on conflict (kind, connection, state) do update set records = c.records + excluded.records
