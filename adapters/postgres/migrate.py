"""Brings the schema up to date: Alembic says which steps are missing, asyncpg runs their SQL.

Everything happens in one transaction under an advisory lock: several daemons may start at once, and
a failed step leaves the schema as it was. Which revisions there are the names of their files say:
Alembic, a third of what a start imports, is needed only where steps are missing.
"""

import asyncio
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from adapters.postgres.connecting import connect
from adapters.postgres.errors import SchemaNewer, SchemaOutdated, translated

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

log = structlog.get_logger(__name__)

_LOCK = 0x5BA2_7005  # any number, the same for every daemon of this database
_GIVE_WAY_MS = 2000  # later statements on a table queue behind one that waits for it


async def upgrade(dsn: str) -> str:
    """Bring the schema to this program's revision, which is returned.

    Each migration is a transaction of its own, and none waits long for a lock that others would
    queue behind: it gives way and tries again. Raises SchemaNewer, and SchemaOutdated where this
    role may not change the schema.
    """
    wanted = revisions()[-1]
    with translated():
        connection = await connect(dsn, server_settings={"application_name": "spartoo-sync"})
        try:
            first = present = await _revision(connection)
            while present != wanted:
                _refuse_newer(present)
                present = await _migrate_one(connection)
        finally:
            await connection.close()
    if first != wanted:
        log.info("schema upgraded", before=first, after=wanted)
    return wanted


async def _migrate_one(connection: "Conn") -> str:
    """Apply the next migration, unless another process was first; the revision there is then."""
    while True:
        try:
            async with connection.transaction():
                await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
                await connection.execute(f"set local lock_timeout = {_GIVE_WAY_MS}")
                return await _apply_next(connection)
        except asyncpg.LockNotAvailableError:
            log.info("the schema's upgrade gives way to what holds a table; it is tried again")
            await asyncio.sleep(_GIVE_WAY_MS / 1000)


async def _apply_next(tx: "Tx") -> str:
    present, known = await _revision(tx), revisions()
    _refuse_newer(present)
    if present == known[-1]:
        return known[-1]
    following = known[0] if present is None else known[known.index(present) + 1]
    from adapters.postgres.migration_sql import missing_steps  # noqa: PLC0415 - slow to import

    try:
        await tx.execute(missing_steps(present, following))
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaOutdated(
            f"{_outdated(present, known[-1])}, and this role may not change it ({error});"
            " run `spartoo-sync db upgrade` with the URL of the schema's owner"
        ) from error
    return following


async def check(tx: "Tx") -> None:
    """Raise SchemaOutdated or SchemaNewer unless the schema is this program's."""
    present, wanted = await _revision(tx), revisions()[-1]
    if present == wanted:
        return
    _refuse_newer(present)
    raise SchemaOutdated(f"{_outdated(present, wanted)}; run `spartoo-sync db upgrade`")


def _outdated(present: str | None, wanted: str) -> str:
    return f"the database's schema is {present or 'not there yet'}, this program needs {wanted}"


def _refuse_newer(present: str | None) -> None:
    known = revisions()
    if present is not None and present not in known:
        raise SchemaNewer(
            f"the database's schema is {present}, this program knows it up to {known[-1]};"
            " nothing was changed: upgrade the program"
        )


async def _revision(tx: "Tx") -> str | None:
    if await tx.fetchval("select to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await tx.fetchval("select version_num from alembic_version")
    return revision


@cache
def revisions() -> list[str]:
    """What this program knows, oldest first. Raises SchemaOutdated when there is nothing."""
    files = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*_*.py")
    found = sorted(file.name.partition("_")[0] for file in files)
    if not found:
        raise SchemaOutdated("this installation has no migrations; install the program again")
    return found
