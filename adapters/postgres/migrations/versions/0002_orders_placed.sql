-- Beside their states, orders are counted by the UTC day they were placed: of the kind
-- `orders_placed`, the day stands where the state does. Triggers first: they wait for writers and
-- keep others out, so that nothing is counted twice or not at all.
create function note_orders_new() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select
        case when day is null then 'orders' else 'orders_placed' end,
        connection, coalesce(state, to_char(day, 'YYYY-MM-DD')), count(*)
    from (
        select connection, state, date_trunc('day', purchased_at at time zone 'UTC') as day
        from now_there
    ) as moves
    group by grouping sets ((connection, state), (connection, day));
    return null;
end $$;
create function note_orders_gone() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select
        case when day is null then 'orders' else 'orders_placed' end,
        connection, coalesce(state, to_char(day, 'YYYY-MM-DD')), -count(*)
    from (
        select connection, state, date_trunc('day', purchased_at at time zone 'UTC') as day
        from gone
    ) as moves
    group by grouping sets ((connection, state), (connection, day));
    return null;
end $$;
create function note_orders_moved() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select
        case when day is null then 'orders' else 'orders_placed' end,
        connection, coalesce(state, to_char(day, 'YYYY-MM-DD')), sum(change)
    from (
        select connection, state, date_trunc('day', purchased_at at time zone 'UTC') as day, 1 as change
        from now_there
        union all
        select connection, state, date_trunc('day', purchased_at at time zone 'UTC'), -1 from gone
    ) as moves
    group by grouping sets ((connection, state), (connection, day))
    having sum(change) <> 0;
    return null;
end $$;

drop trigger orders_counted_new on orders;
drop trigger orders_counted_gone on orders;
drop trigger orders_counted_moved on orders;
create trigger orders_counted_new after insert on orders referencing new table as now_there
    for each statement execute function note_orders_new();
create trigger orders_counted_gone after delete on orders referencing old table as gone
    for each statement execute function note_orders_gone();
create trigger orders_counted_moved after update on orders
    referencing new table as now_there old table as gone
    for each statement execute function note_orders_moved();

insert into state_counts (kind, connection, state, records)
select 'orders_placed', connection, to_char(day, 'YYYY-MM-DD'), count(*)
from (
    select connection, date_trunc('day', purchased_at at time zone 'UTC') as day from orders
) as placed
group by connection, day;
