"""Brings the schema up to date: Alembic says which steps are missing, asyncpg runs their SQL.

Everything happens in one transaction under an advisory lock: several daemons may start at once, and
a failed step leaves the schema as it was. Which revisions there are the names of their files say:
Alembic, a third of what a start imports, is needed only where steps are missing.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from adapters.postgres.connecting import connect
from adapters.postgres.errors import SchemaNewer, SchemaOutdated, translated

if TYPE_CHECKING:
    from adapters.postgres.database import Tx

log = structlog.get_logger(__name__)

_LOCK = 0x5BA2_7005  # any number, the same for every daemon of this database


async def upgrade(dsn: str) -> str:
    """Bring the schema to this program's revision, which is returned.

    Raises SchemaNewer, and SchemaOutdated where this role may not change the schema.
    """
    with translated():
        connection = await connect(dsn, server_settings={"application_name": "spartoo-sync"})
        try:
            async with connection.transaction():
                return await _upgrade(connection)
        finally:
            await connection.close()


async def _upgrade(tx: "Tx") -> str:
    await tx.execute("select pg_advisory_xact_lock($1)", _LOCK)
    present, wanted = await _revision(tx), revisions()[-1]
    if present == wanted:
        return wanted
    _refuse_newer(present)
    from adapters.postgres.migration_sql import missing_steps  # noqa: PLC0415 - slow to import

    try:
        await tx.execute(missing_steps(present, wanted))
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaOutdated(
            f"{_outdated(present, wanted)}, and this role may not change it ({error});"
            " run `spartoo-sync db upgrade` with the URL of the schema's owner"
        ) from error
    log.info("schema upgraded", before=present, after=wanted)
    return wanted


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
