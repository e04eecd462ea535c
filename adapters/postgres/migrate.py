"""Brings the schema up to date: Alembic says which steps are missing, asyncpg runs their SQL.

Alembic works in its offline mode, so migrations need no second driver. Everything happens in one
transaction under an advisory lock: several daemons may start at once, and a failed step leaves
the schema as it was.
"""

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

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
    script = _script()
    present, wanted = await _revision(tx), _head(script)
    if present == wanted:
        return wanted
    _refuse_newer(script, present)
    try:
        await tx.execute(_sql(script, present, wanted))
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaOutdated(
            f"{_outdated(present, wanted)}, and this role may not change it ({error});"
            " run `spartoo-sync db upgrade` with the URL of the schema's owner"
        ) from error
    log.info("schema upgraded", before=present, after=wanted)
    return wanted


async def check(tx: "Tx") -> None:
    """Raise SchemaOutdated or SchemaNewer unless the schema is this program's."""
    script = _script()
    present, wanted = await _revision(tx), _head(script)
    if present == wanted:
        return
    _refuse_newer(script, present)
    raise SchemaOutdated(f"{_outdated(present, wanted)}; run `spartoo-sync db upgrade`")


def _outdated(present: str | None, wanted: str) -> str:
    return f"the database's schema is {present or 'not there yet'}, this program needs {wanted}"


def _refuse_newer(script: ScriptDirectory, present: str | None) -> None:
    known = {revision.revision for revision in script.walk_revisions()}
    if present is not None and present not in known:
        raise SchemaNewer(
            f"the database's schema is {present}, this program knows it up to {_head(script)};"
            " nothing was changed: upgrade the program"
        )


async def _revision(tx: "Tx") -> str | None:
    if await tx.fetchval("select to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await tx.fetchval("select version_num from alembic_version")
    return revision


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _head(script: ScriptDirectory) -> str:
    head = script.get_current_head()
    if head is None:
        raise SchemaOutdated("this installation has no migrations; install the program again")
    return head


def _sql(script: ScriptDirectory, present: str | None, wanted: str) -> str:
    """The SQL of the missing steps, with Alembic's own bookkeeping."""
    output = StringIO()
    with EnvironmentContext(
        Config(),
        script,
        fn=lambda revision, _: script._upgrade_revs(wanted, revision),  # noqa: SLF001 - as Alembic's own commands do
        as_sql=True,
        starting_rev=present,
    ) as environment:
        environment.configure(
            dialect_name="postgresql",
            dialect_opts={"paramstyle": "named"},
            output_buffer=output,
        )
        environment.run_migrations()
    return output.getvalue()
