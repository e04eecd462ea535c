"""The schema: upgraded once by many, refused when it is not ours; the SQL that uses it."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import orjson
import pytest
from structlog.testing import capture_logs

import adapters.postgres
from adapters.postgres import migrate
from adapters.postgres.connecting import connect
from adapters.postgres.database import Database
from adapters.postgres.errors import DatabaseUnavailable, SchemaNewer, SchemaOutdated
from adapters.postgres.migrate import check, revisions, upgrade
from adapters.postgres.migration_sql import missing_steps, script_directory
from adapters.postgres.queries import load
from tests.fixtures.postgres import eventually

PACKAGE = Path(adapters.postgres.__file__).parent
GROUPS = sorted(path.stem for path in (PACKAGE / "sql").glob("*.sql"))


def test_migrations_are_named_after_their_revisions() -> None:
    newest_first = [step.revision for step in script_directory().walk_revisions()]
    assert newest_first[::-1] == revisions()


def test_a_start_imports_no_alembic() -> None:
    """It took a third of a start's processor time, to find that nothing was to do."""
    program = "import sys, daemon.cli.app; sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_several_daemons_upgrade_at_once(empty_database: str) -> None:
    revisions = await asyncio.gather(*(upgrade(empty_database) for _ in range(3)))
    assert len(set(revisions)) == 1
    db = await Database.open(empty_database)
    async with db.connection() as conn:
        await check(conn)
        assert await conn.fetchval("select count(*) from alembic_version") == 1
    await db.close()


async def test_an_upgraded_schema_is_left_alone(db: Database, database_url: str) -> None:
    async with db.connection() as conn:
        await conn.execute("update relay set position = 7")
    await upgrade(database_url)
    async with db.connection() as conn:
        assert await conn.fetchval("select position from relay") == 7


async def test_an_empty_database_names_the_remedy(empty_database: str) -> None:
    db = await Database.open(empty_database)
    async with db.connection() as conn:
        with pytest.raises(SchemaOutdated, match="spartoo-sync db upgrade"):
            await check(conn)
    await db.close()


async def test_a_newer_schema_is_refused_and_untouched(db: Database, database_url: str) -> None:
    async with db.connection() as conn:
        await conn.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(SchemaNewer, match=rf"9999.*{revisions()[-1]}.*upgrade the program"):
        await upgrade(database_url)
    async with db.connection() as conn:
        with pytest.raises(SchemaNewer, match="9999"):
            await check(conn)
        assert await conn.fetchval("select version_num from alembic_version") == "9999"


async def test_nobody_there_says_so_without_the_password() -> None:
    with pytest.raises(DatabaseUnavailable, match="SPARTOO_SYNC_DATABASE_URL") as raised:
        await Database.open("postgresql://someone:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("group", GROUPS)
async def test_every_block_is_understood_by_the_server(db: Database, group: str) -> None:
    async with db.connection() as conn:
        for sql in load(group).values():
            await conn.prepare(sql)


def test_every_block_has_one_name_and_one_user() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.glob("*.py"))
    for group in GROUPS:
        text = (PACKAGE / "sql" / f"{group}.sql").read_text()
        names = re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)
        assert len(names) == len(set(names)) == len(load(group))
        unused = [name for name in names if f'"{name}"' not in source]
        assert not unused


async def test_a_programming_error_is_not_taken_for_an_outage(db: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with db.connection() as conn:
            await conn.execute("select * from nothing_of_ours")


@pytest.fixture
async def of_before(empty_database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A database as the first migration leaves it, with an order, a connection and its settings."""
    conn = await connect(empty_database)
    await conn.execute(missing_steps(None, "0001"))
    await conn.execute(
        """insert into connections (id, settings, active, added_at) values
            ('written', '{"catalog": "default", "shipping_services": ["DPD"]}', true, now()),
            ('default', '{"shipping_services": ["Colissimo", "Chronopost", "Mondial Relay", "DPD",
                "UPS", "GLS", "DHL", "FedEx", "TNT", "Royal Mail"]}', true, now());
        insert into orders (
            order_id, connection, state, spartoo_status, purchased_at, facts, products,
            first_seen_at, changed_at, shipments, identifiers
        )
        values (
            'A', 'written', 'synced', 2, '2026-11-20T23:30Z', '{"shipping_service": "BRT 1"}',
            '{}', now(), now(), '[]', '{}'
        )"""
    )
    yield conn
    await conn.close()


async def test_readers_go_on_while_orders_are_counted(
    of_before: "asyncpg.Connection[asyncpg.Record]", empty_database: str
) -> None:
    upgrading = of_before.transaction()
    await upgrading.start()
    await of_before.execute(missing_steps("0001", "0002"))
    reader = await connect(empty_database)
    await reader.execute("set lock_timeout = '5s'")
    assert await reader.fetchval("select order_id from orders") == "A"
    await reader.close()
    await upgrading.commit()
    counted = "select state, records from state_counts where kind = 'orders_placed'"
    assert [tuple(row) for row in await of_before.fetch(counted)] == [("2026-11-20", 1)]


async def test_an_upgrade_gives_way_to_who_holds_a_table(
    of_before: "asyncpg.Connection[asyncpg.Record]",
    empty_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate, "_GIVE_WAY_MS", 50)
    holding = of_before.transaction()
    await holding.start()
    await of_before.fetch("select from orders")
    with capture_logs() as logs:
        upgrading = asyncio.create_task(migrate.upgrade(empty_database))

        async def gave_way() -> bool:
            return any("gives way" in entry["event"] for entry in logs)

        await eventually(gave_way)
        await holding.rollback()
        assert await upgrading == migrate.revisions()[-1]


async def test_a_list_of_services_that_nobody_wrote_is_learnt_after_the_upgrade(
    of_before: "asyncpg.Connection[asyncpg.Record]", empty_database: str
) -> None:
    await migrate.upgrade(empty_database)
    kept = await of_before.fetch(
        "select id, settings -> 'shipping_services' as services from connections order by id"
    )
    assert [row["services"] and orjson.loads(row["services"]) for row in kept] == [None, ["DPD"]]
    names = await of_before.fetch("select connection, name from shipping_services")
    assert [tuple(row) for row in names] == [("written", "BRT 1")]
