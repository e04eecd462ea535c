"""Declared connections at start and on SIGHUP: trouble is waited for, what is wrong is told."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters.postgres import connections
from adapters.postgres.database import Database
from daemon.declared import apply_declared, declare
from daemon.metrics import Metrics
from daemon.settings import Settings, load_settings
from daemon.wiring import Parts, open_parts
from statemachine.facts import Refused
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

DISK_FULL = "53100"
TROUBLE = (DISK_FULL, "42501", "40001", "40P01", "57P03")


def declared(directory: Path, *connections: str, allowed: int = 9) -> Settings:
    """Settings that declare these connections, active."""
    path = directory / "settings.toml"
    tables = (
        f'[[connections]]\nid = "{name}"\nsite = "fr"\napi_key = "{"0" * 16}"\nactive = true\n'
        for name in connections
    )
    plan = f"plan.order_connections = {allowed}\n"
    state = f'state_dir = "{directory}"\n'
    path.write_text(state + plan + "".join(tables), encoding="utf-8")
    return load_settings(path, {})


def allowing(connections: int) -> dict[str, Any]:
    return {"plan.order_connections": connections}


@asynccontextmanager
async def opened(settings: Settings, db: Database) -> AsyncIterator[Parts]:
    async with open_parts(settings, db, Metrics()) as parts:
        yield parts


@asynccontextmanager
async def refusing(dsn: str, code: str) -> AsyncIterator[None]:
    """The database takes no change of a connection meanwhile, with this error."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "create or replace function refuse() returns trigger language plpgsql as $$ begin"
            f" raise exception 'no room' using errcode = '{code}'; end $$;"
            "create trigger refused before insert or update on connections"
            " for each statement execute function refuse()"
        )
        yield
        await connection.execute("drop trigger refused on connections")
    finally:
        await connection.close()


@pytest.mark.parametrize("code", TROUBLE)
async def test_trouble_of_the_database_at_start_is_waited_for(
    db: Database, database_url: str, tmp_path: Path, code: str
) -> None:
    told = asyncio.Event()

    def tell(_: str) -> None:
        told.set()

    async with opened(declared(tmp_path, "bags", "shoes"), db) as parts:
        async with refusing(database_url, code):
            declaring = asyncio.ensure_future(declare(parts, tell))
            async with asyncio.timeout(10):
                await told.wait()
            assert not declaring.done()
        assert await asyncio.wait_for(declaring, 10) == ["bags", "shoes"]


async def test_all_is_applied_or_nothing(db: Database, tmp_path: Path) -> None:
    async with opened(declared(tmp_path, "bags", "shoes", allowed=1), db) as parts:
        with pytest.raises(Refused, match=r"connections\[shoes\]: your plan allows 1 active"):
            await apply_declared(parts, parts.settings.connections, parts.clock())
    async with db.connection() as conn:
        assert not await conn.fetch("select id from connections")


async def test_another_address_is_declared_with_its_key(db: Database, tmp_path: Path) -> None:
    async with opened(declared(tmp_path, "shoes"), db) as parts:
        await apply_declared(parts, parts.settings.connections, parts.clock())
        (shoes,) = parts.settings.connections
        address = {"base_url": "http://127.0.0.1:1/mp"}
        moved = shoes.model_copy(update={"settings": shoes.settings.model_copy(update=address)})
        assert await apply_declared(parts, [moved], parts.clock()) == ["shoes"]
    async with db.connection() as conn:
        (kept,) = await connections.list_all(conn)
    assert kept.settings.base_url == address["base_url"]


async def test_what_is_switched_off_makes_room_in_the_plan(db: Database, tmp_path: Path) -> None:
    async with opened(declared(tmp_path, "shoes", allowed=1), db) as parts:
        await apply_declared(parts, parts.settings.connections, parts.clock())
        (shoes,) = parts.settings.connections
        (bags,) = declared(tmp_path, "bags").connections
        off = shoes.settings.model_copy(update={"active": False})
        swapped = [bags, shoes.model_copy(update={"settings": off})]
        applied = await apply_declared(parts, swapped, parts.clock())
        assert sorted(applied) == ["bags", "shoes"]
        assert await apply_declared(parts, swapped, parts.clock()) == []


async def test_a_start_with_too_many_connections_ends_with_one_line(offline: System) -> None:
    offline.connect("manual")
    daemon = await offline.launch(**allowing(0))
    assert await daemon.ended(20) == 2
    *_, last = daemon.output().strip().splitlines()
    assert last.startswith("error: connections[manual]: your plan allows 0 active")
    assert "Traceback" not in daemon.output()


AS_STORED = "select id, version, settings, active from connections"


async def test_sighup_waits_for_the_database_and_outlives_everything_else(offline: System) -> None:
    offline.connect("manual")
    daemon = await offline.run(**allowing(1))
    config = offline.directory / "settings-1.toml"
    good = config.read_text()

    async def asked(text: str, event: str, **said: object) -> None:
        before = len(daemon.logs(event))
        config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)

        async def told() -> bool:
            return len(daemon.logs(event)) > before

        await eventually(told)
        assert said.items() <= daemon.logs(event)[-1].items()

    before_all = await offline.rows(AS_STORED)
    changed = good.replace("poll_interval = 1", "poll_interval = 2")
    second = changed[changed.index("[[connections]]") :].replace('"manual"', '"second"', 1)
    fault = "connections[second]: your plan allows 1 active order connections;"
    await asked(changed + second, "not reloaded: the old settings hold")
    (line,) = daemon.logs("not reloaded: the old settings hold")
    assert line["faults"][0].startswith(fault)
    assert await offline.rows(AS_STORED) == before_all, "nothing changed"
    async with refusing(offline.dsn, "P0001"):
        await asked(changed, "not reloaded: the old settings hold", level="error")
    async with refusing(offline.dsn, DISK_FULL):
        await asked(changed, "reload waits for the database", level="warning")

    async def reloaded() -> bool:
        return daemon.logged("reloaded", connections=["manual"])

    await eventually(reloaded, 20)
    assert await daemon.missing() == []
