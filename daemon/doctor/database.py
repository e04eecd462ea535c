"""The database: version, schema, rights, clock, roles, and the keys that open the API keys."""

from collections.abc import AsyncIterator

from adapters.postgres import connections, leases, migrate, server
from adapters.postgres.database import Database
from adapters.postgres.errors import SchemaNewer, SchemaOutdated
from daemon.clock import utc_now
from daemon.doctor.clock import compared
from daemon.doctor.finding import Finding, failed, ok, warning
from daemon.doctor.state import KEY, known_cipher
from daemon.holdings import ROLES
from daemon.settings import Settings

DATABASE, SCHEMA, RIGHTS, DAEMON = "database", "schema", "rights", "daemon"
_OLDEST = 140000  # 14.0
_UPGRADE = "spartoo-sync db upgrade (the daemon does it at start)"


async def check_server(database: Database) -> AsyncIterator[Finding]:
    """Which PostgreSQL it is, whether it may be written to, and its clock."""
    asked_at = utc_now()
    async with database.connection() as conn:
        found = await server.describe(conn)
    yield compared("the database server's", found.now, asked_at, utc_now())
    if found.standby:
        remedy = "set SPARTOO_SYNC_DATABASE_URL to the primary (target_session_attrs=read-write)"
        yield failed(DATABASE, f"PostgreSQL {found.version}: a standby, read-only", remedy)
    elif found.number < _OLDEST:
        yield failed(DATABASE, f"PostgreSQL {found.version}", "use PostgreSQL 14 or newer")
    else:
        yield ok(DATABASE, f"reached, PostgreSQL {found.version}")
    if not found.may_create:
        remedy = "grant create on the schema to the daemon's role, or run db upgrade as its owner"
        yield warning(RIGHTS, "this role may not create tables: no upgrades", remedy)


async def check_schema(database: Database) -> AsyncIterator[Finding]:
    """Whether it is this program's."""
    async with database.connection() as conn:
        try:
            await migrate.check(conn)
        except SchemaOutdated as error:
            yield failed(SCHEMA, str(error).partition(";")[0], _UPGRADE)
        except SchemaNewer as error:
            yield failed(SCHEMA, str(error).partition(";")[0], "upgrade the program")
        else:
            yield ok(SCHEMA, "current")


async def check_rights(database: Database) -> AsyncIterator[Finding]:
    """Whether this role may read and write every table."""
    async with database.connection() as conn:
        lacking = await server.lacking_rights(conn)
    if lacking:
        remedy = "grant select, insert, update, delete on all tables in the schema to the role"
        yield failed(RIGHTS, f"this role lacks: {', '.join(lacking)}", remedy)
    else:
        yield ok(RIGHTS, "this role may read and write every table")


async def check_daemon(database: Database) -> AsyncIterator[Finding]:
    """Whether a daemon runs on this database and holds every role."""
    async with database.connection() as conn:
        holders = {role: await leases.holder_of(conn, role) for role in ROLES}
    held = [f"{role} by {holder}" for role, holder in holders.items() if holder]
    if not held:
        yield warning(DAEMON, "none runs on this database", "start one: spartoo-sync run")
    elif len(held) < len(holders):
        free = ", ".join(role for role, holder in holders.items() if not holder)
        remedy = "look again: it is taken within seconds while a daemon runs"
        yield warning(DAEMON, f"nobody holds {free}", remedy)
    else:
        yield ok(DAEMON, "runs: " + ", ".join(held))


async def check_keys(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    """Whether the secret key opens every stored API key."""
    cipher = known_cipher(settings)
    async with database.connection() as conn:
        stored = [c.id for c in await connections.list_all(conn) if c.has_key]
        if cipher is None:
            if stored:
                remedy = "restore it from a backup, or give every API key again"
                yield failed(KEY, f"gone: {len(stored)} stored API keys cannot be opened", remedy)
            return
        for connection in stored:
            try:
                await connections.api_key(conn, cipher, connection)
            except connections.UnreadableKey:
                message = f"does not open the API key of connection {connection}"
                remedy = f"restore the old key, or: spartoo-sync connections set {connection}"
                yield failed(KEY, message, f"{remedy} --api-key")
    yield ok(KEY, f"{len(stored)} stored API keys tried")
