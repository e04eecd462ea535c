-- name: describe
-- Version, role in replication, clock, and whether tables may be made.
select
    current_setting('server_version') as version,
    current_setting('server_version_num')::int as number,
    pg_is_in_recovery() as standby,
    clock_timestamp() as now,
    coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create

-- name: lacking_rights
-- Tables of the schema this role may not use in every way.
select r.right || ' on ' || c.relname as lacking from pg_class as c
cross join unnest(array['select', 'insert', 'update', 'delete']) as r ("right")
where
    c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
    and not has_table_privilege(c.oid, r.right)
order by c.relname, r.right
