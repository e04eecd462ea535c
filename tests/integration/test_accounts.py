"""An account the marketplace rejects, and an API key nobody can read, hold up one connection."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web
from cryptography.fernet import Fernet, MultiFernet

from adapters.ports import AccountRejected
from adapters.postgres import actions, connections
from adapters.postgres.database import Database
from daemon.accounts import CALLS_AT_ONCE, Accounts, Halted
from daemon.commands import switch
from daemon.dispatcher import Dispatcher
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.settings import Plan
from statemachine.model import ActionKind, ConnectionId, OrderId
from tests.fixtures.postgres import CIPHER, add_connection, eventually
from tests.fixtures.tasks import running
from tests.integration.spartoo_server import OK, Spartoo, coded, serve
from tests.unit.builders import settings

FR = ConnectionId("shoes-fr")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def spartoo(db: Database) -> AsyncIterator[Spartoo]:
    """A server that knows no key, and a connection to it."""
    async with serve() as server:
        server.answer = Spartoo.text(coded(-2))
        await add_connection(db, settings(base_url=server.base_url))
        yield server


@pytest.fixture
def accounts(db: Database, spartoo: Spartoo) -> Accounts:
    assert spartoo.session is not None
    return Accounts(db, spartoo.session, CIPHER, Metrics(), now)


async def suspended(db: Database) -> str | None:
    async with db.connection() as conn:
        return (await connections.get(conn, FR)).suspended_reason


async def test_a_rejected_key_suspends_the_connection(db: Database, accounts: Accounts) -> None:
    with pytest.raises(AccountRejected):
        async with accounts.using(FR) as account:
            await account.for_actions.test()
    assert await suspended(db) == "bad_key"


@pytest.mark.parametrize("active", [True, False])
async def test_what_was_begun_before_a_connection_was_halted_sends_nothing(
    db: Database, accounts: Accounts, active: bool
) -> None:
    async with db.transaction() as tx:
        await connections.suspend(tx, FR, "deactivated", "-428", now())
        await connections.set_active(tx, FR, active=active)
    code = "connection_suspended" if active else "connection_disabled"
    with pytest.raises(Halted) as refused:
        async with accounts.using(FR):
            pass
    assert refused.value.code == code


async def test_a_late_rejection_of_the_old_key_does_not_suspend_the_new_one(
    db: Database, accounts: Accounts
) -> None:
    async def answered_late() -> None:
        async with accounts.using(FR) as account:
            try:
                await account.for_actions.test()
            finally:
                async with db.transaction() as tx:
                    await connections.update(tx, CIPHER, account.settings, api_key="F" * 16)

    with pytest.raises(AccountRejected):
        await answered_late()
    assert await suspended(db) is None


@pytest.mark.parametrize("suspended_first", [True, False])
async def test_a_rejection_from_before_an_activation_does_not_suspend_after_it(
    db: Database, accounts: Accounts, spartoo: Spartoo, *, suspended_first: bool
) -> None:
    spartoo.answer = Spartoo.text(coded(-428))

    async def answered_late() -> None:
        async with accounts.using(FR) as account:
            async with db.transaction() as tx:
                if suspended_first:
                    await connections.suspend(tx, FR, "deactivated", "-428", now())
                known = await connections.lock(tx, FR)
                await switch(tx, known, Plan(), now(), active=True)
            await account.for_actions.test()

    with pytest.raises(AccountRejected):
        await answered_late()
    assert await suspended(db) is None
    with pytest.raises(AccountRejected):
        async with accounts.using(FR) as account:
            await account.for_actions.test()
    assert await suspended(db) == "deactivated", "what is begun after it counts"


async def test_those_who_open_an_account_at_once_take_turns_at_its_calls(
    accounts: Accounts, spartoo: Spartoo
) -> None:
    under_way, full, most = 0, asyncio.Event(), 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == CALLS_AT_ONCE:
            full.set()
        await full.wait()
        await asyncio.sleep(0)  # who need not wait for a turn comes in here
        under_way -= 1
        return web.Response(text=OK, content_type="text/xml")

    async def accept(order_id: str) -> None:
        async with accounts.using(FR) as account:
            await account.for_actions.change_order(OrderId(order_id), ActionKind.ACCEPT)

    spartoo.answer = answer
    await asyncio.gather(*(accept(str(number)) for number in range(4 * CALLS_AT_ONCE)))
    assert most == CALLS_AT_ONCE


async def test_a_connection_without_key_is_suspended_until_it_has_one(
    db: Database, accounts: Accounts
) -> None:
    async with db.connection() as conn:
        await conn.execute("update connections set api_key = null")
    with pytest.raises(AccountRejected, match="has no API key"):
        async with accounts.using(FR):
            pass
    assert await suspended(db) == "bad_key"


async def test_an_action_whose_key_nobody_can_read_waits_longer_each_time(
    db: Database, spartoo: Spartoo
) -> None:
    assert spartoo.session is not None
    metrics = Metrics()
    holdings = Holdings(db, metrics)
    other = MultiFernet([Fernet(Fernet.generate_key())])
    accounts = Accounts(db, spartoo.session, other, metrics, now)
    dispatcher = Dispatcher(db, accounts, holdings, metrics, now)
    async with db.transaction() as tx:
        await actions.request_fetch(tx, FR, OrderId("A"), "ada")

    async def postponed() -> bool:
        async with db.connection() as conn:
            (action,) = await actions.find(conn, FR, OrderId("A"))
        return action.code == "postponed"

    async with running(dispatcher.run, holdings):
        await eventually(postponed)
    async with db.connection() as conn:
        (action,) = await actions.find(conn, FR, OrderId("A"))
    assert action.due_at > action.created_at
    assert "sealed with another secret key" in action.message
    assert not action.unsure
    assert spartoo.asked == []
