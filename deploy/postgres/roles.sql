-- Two roles for one database: the owner makes and changes the schema (`spartoo-sync db upgrade`),
-- the daemon reads and writes rows and can do nothing else.
--
-- As a superuser, or one who may create roles, in the database the daemon is to use:
--
--   createdb spartoo
--   psql --dbname spartoo --file roles.sql
--   psql --dbname spartoo --command '\password spartoo_owner' --command '\password spartoo_sync'
--
-- Then: SPARTOO_SYNC_DATABASE_URL=postgresql://spartoo_owner@…/spartoo spartoo-sync db upgrade
-- and the daemons with postgresql://spartoo_sync@…/spartoo. It may be run again at any time.

do $$
begin
    if not exists (select from pg_roles where rolname = 'spartoo_owner') then
        create role spartoo_owner login;
    end if;
    if not exists (select from pg_roles where rolname = 'spartoo_sync') then
        create role spartoo_sync login;
    end if;
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to spartoo_owner, spartoo_sync', current_database());
end
$$;

-- Not to be used for anything but rows.
alter role spartoo_owner nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role spartoo_sync nosuperuser nocreatedb nocreaterole noreplication nobypassrls;

revoke create on schema public from public;
grant usage, create on schema public to spartoo_owner;
grant usage on schema public to spartoo_sync;

-- What the owner makes from now on. Identity columns need no right on their sequences.
alter default privileges for role spartoo_owner in schema public
grant select, insert, update, delete on tables to spartoo_sync;

-- What a daemon that was its own owner has left; nothing where roles.sql came first.
grant select, insert, update, delete on all tables in schema public to spartoo_sync;
