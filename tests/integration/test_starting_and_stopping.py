"""A stop is never held up by a neighbour that does not answer, and leaves nothing running."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from adapters.postgres import actions
from adapters.postgres.database import Database
from daemon.accounts import Accounts
from daemon.declared import apply_declared
from daemon.dispatcher import Dispatcher
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.settings import DeclaredConnection, load_settings
from daemon.supervisor import unless_stopped
from daemon.wiring import open_database, open_parts
from statemachine.model import ConnectionId, OrderId
from tests.fixtures.postgres import CIPHER, add_connection, eventually, may_stand_idle
from tests.integration.spartoo_server import Spartoo, serve
from tests.unit.builders import settings


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A server that takes connections and says nothing."""
    gone = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    gone.set()
    server.close()
    await server.wait_closed()


async def test_a_database_that_does_not_answer_holds_no_stop_up(silent_port: int) -> None:
    stop = asyncio.Event()
    dsn = f"postgresql://nobody@127.0.0.1:{silent_port}/none?sslmode=disable"
    opening = asyncio.ensure_future(unless_stopped(open_database(dsn), stop))
    stop.set()
    assert await asyncio.wait_for(opening, 5) is None


async def test_holds_are_renewed_while_slow_work_has_every_connection(database_url: str) -> None:
    db = await Database.open(database_url, max_size=2)
    holdings = Holdings(db, Metrics())

    async def gained() -> bool:
        return holdings.epoch("commands") is not None

    try:
        async with db.transaction() as one, db.transaction() as other:
            await may_stand_idle(one)
            await may_stand_idle(other)
            keeping = asyncio.ensure_future(holdings.run())
            await eventually(gained)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
    finally:
        await db.close()


@pytest.fixture
async def spartoo() -> AsyncIterator[Spartoo]:
    async with serve() as server:
        yield server


async def test_a_cancelled_dispatcher_leaves_no_action_running(
    db: Database, spartoo: Spartoo
) -> None:
    called, ended = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        called.set()
        await ended.wait()
        return web.Response(text="<root/>")

    spartoo.answer = answer
    assert spartoo.session is not None
    await add_connection(db, settings(base_url=spartoo.base_url))
    async with db.transaction() as tx:
        await actions.request_fetch(tx, ConnectionId("shoes-fr"), OrderId("A"), "ada")
    metrics, stop = Metrics(), asyncio.Event()
    holdings = Holdings(db, metrics)
    accounts = Accounts(db, spartoo.session, CIPHER, metrics, lambda: datetime.now(UTC))
    dispatcher = Dispatcher(db, accounts, holdings, metrics, lambda: datetime.now(UTC))
    keeping = asyncio.ensure_future(holdings.run())
    working = asyncio.ensure_future(dispatcher.run(stop))
    async with asyncio.timeout(10):
        await called.wait()

    async def in_hand() -> bool:
        return bool(holdings.actions_in_hand)

    await eventually(in_hand)
    for task in (working, keeping):
        task.cancel()
    await asyncio.gather(working, keeping, return_exceptions=True)
    assert not holdings.actions_in_hand
    ended.set()


async def test_replicas_that_start_at_once_agree_on_what_is_declared(
    database_url: str, tmp_path: Path
) -> None:
    declared = [
        DeclaredConnection(settings=settings(id=f"shop-{n}"), api_key=SecretStr(f"{n:016}"))
        for n in range(10)
    ]
    given = load_settings(None, {"SPARTOO_SYNC_STATE_DIR": str(tmp_path)})

    async def start() -> list[str]:
        database = await Database.open(database_url)
        try:
            async with open_parts(given, database, Metrics()) as parts:
                return await apply_declared(parts, declared, datetime.now(UTC))
        finally:
            await database.close()

    added = sorted(itertools.chain(*await asyncio.gather(*(start() for _ in range(5)))))
    assert added == sorted(connection.settings.id for connection in declared)
