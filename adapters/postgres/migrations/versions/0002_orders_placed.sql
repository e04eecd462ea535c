-- Beside their states, orders are counted by the UTC day they were placed: of the kind
-- `orders_placed`, the day stands where the state does. Triggers first: they wait for writers and
-- keep others out until the count is done, so that nothing is counted twice or not at all. Readers
-- go on.
create function note_placed() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select
        'orders_placed', connection,
        to_char(date_trunc('day', purchased_at at time zone 'UTC'), 'YYYY-MM-DD') as day, count(*)
    from now_there group by connection, day;
    return null;
end $$;
create function note_unplaced() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select
        'orders_placed', connection,
        to_char(date_trunc('day', purchased_at at time zone 'UTC'), 'YYYY-MM-DD') as day, -count(*)
    from gone group by connection, day;
    return null;
end $$;
create function note_placed_otherwise() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select
        'orders_placed', connection,
        to_char(date_trunc('day', purchased_at at time zone 'UTC'), 'YYYY-MM-DD') as day, sum(change)
    from (
        select connection, purchased_at, 1 as change from now_there
        union all
        select connection, purchased_at, -1 from gone
    ) as moves
    group by connection, day having sum(change) <> 0;
    return null;
end $$;

create trigger orders_placed_new after insert on orders referencing new table as now_there
    for each statement execute function note_placed();
create trigger orders_placed_gone after delete on orders referencing old table as gone
    for each statement execute function note_unplaced();
create trigger orders_placed_moved after update on orders
    referencing new table as now_there old table as gone
    for each statement execute function note_placed_otherwise();

insert into state_counts (kind, connection, state, records)
select 'orders_placed', connection, to_char(day, 'YYYY-MM-DD'), count(*)
from (
    select connection, date_trunc('day', purchased_at at time zone 'UTC') as day from orders
) as placed
group by connection, day;
