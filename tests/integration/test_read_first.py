"""What may have reached Spartoo is read before it is tried again; unread, it is not tried."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web

from adapters.postgres import actions
from adapters.postgres.actions import StoredAction
from adapters.postgres.database import Database
from daemon.accounts import Accounts
from daemon.dispatcher import Dispatcher
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.return_steps import take_return_steps
from daemon.steps import take_steps
from statemachine.facts import AcceptOrder, Seen
from statemachine.model import ActionStatus, ConnectionId
from statemachine.return_facts import AcceptReturn, ReturnSeen
from tests.fixtures.postgres import CIPHER, add_connection, eventually
from tests.fixtures.tasks import running
from tests.integration.spartoo_server import OK, Spartoo, order, serve
from tests.unit.builders import (
    NOW,
    ORDER_ID,
    RETURN_ID,
    marketplace_order,
    marketplace_return,
    settings,
)

FR = ConnectionId("shoes-fr")
UNREADABLE = {
    "order": "<order><orders_id>{}</orders_id></order>",
    "return": "<return><return_id>{}</return_id></return>",
}
ACCEPTED = {
    "order": order("{}").replace("<orders_status_id>11<", "<orders_status_id>2<"),
    "return": "<return><return_id>{}</return_id><return_status>4</return_status><order>X</order>"
    "<return_date>2026-11-20 09:12:00</return_date></return>",
}

_MOVE = {
    "order": "update orders set changed_at = clock_timestamp()",
    "return": "update returns set changed_at = clock_timestamp()",
}


def now() -> datetime:
    return datetime.now(UTC)


class Marketplace:
    """Answers reads as told, and changes with success."""

    def __init__(self, server: Spartoo, db: Database, noun: str) -> None:
        self.server, self.db, self.noun = server, db, noun
        self.id = ORDER_ID if noun == "order" else RETURN_ID
        self.exported = UNREADABLE[noun].format(self.id)
        self.moves_while_read = False
        server.answer = self._answer

    async def _answer(self, request: web.Request) -> web.Response:
        found = f"<root><{self.noun}s>{self.exported}</{self.noun}s>{OK[6:]}"
        text = found if "export" in request.path else OK
        if self.moves_while_read:
            async with self.db.connection() as conn:
                await conn.execute(_MOVE[self.noun])
        return web.Response(text=text, content_type="text/xml")

    @property
    def changes(self) -> list[str]:
        return [path for path, _ in self.server.asked if "maj" in path]

    async def action(self) -> StoredAction:
        find = actions.find if self.noun == "order" else actions.find_of_return
        async with self.db.connection() as conn:
            (action,) = await find(conn, FR, self.id)  # type: ignore[arg-type]
        return action

    async def postponed(self) -> bool:
        return (await self.action()).code == "postponed"

    async def settled(self) -> bool:
        return (await self.action()).status is ActionStatus.DONE

    async def accept(self) -> None:
        """As a person does; an earlier try of it may have arrived."""
        async with self.db.transaction() as tx:
            if self.noun == "order":
                await take_steps(tx, settings(), {ORDER_ID: Seen(marketplace_order(), NOW)}, NOW)
                await take_steps(tx, settings(), {ORDER_ID: AcceptOrder("ada")}, NOW)
            else:
                seen = {RETURN_ID: ReturnSeen(marketplace_return(), NOW)}
                await take_return_steps(tx, settings(), seen, NOW)
                await take_return_steps(tx, settings(), {RETURN_ID: AcceptReturn("ada")}, NOW)
            await tx.execute("update actions set unsure = true")


@pytest.fixture(params=["order", "return"])
async def marketplace(db: Database, request: pytest.FixtureRequest) -> AsyncIterator[Marketplace]:
    async with serve() as server:
        await add_connection(db, settings(base_url=server.base_url))
        yield Marketplace(server, db, request.param)


@pytest.fixture
async def dispatcher(db: Database, marketplace: Marketplace) -> tuple[Dispatcher, Holdings]:
    metrics = Metrics()
    holdings = Holdings(db, metrics)
    assert marketplace.server.session is not None
    accounts = Accounts(db, marketplace.server.session, CIPHER, metrics, now)
    return Dispatcher(db, accounts, holdings, metrics, now), holdings


async def test_an_action_that_may_have_arrived_waits_until_its_subject_can_be_read(
    marketplace: Marketplace, dispatcher: tuple[Dispatcher, Holdings]
) -> None:
    await marketplace.accept()
    async with running(dispatcher[0].run, dispatcher[1]):
        await eventually(marketplace.postponed)
        waiting = await marketplace.action()
        assert waiting.unsure
        assert "missing" in waiting.message
        marketplace.exported = ACCEPTED[marketplace.noun].format(marketplace.id)
        await eventually(marketplace.settled)
    assert marketplace.changes == []


async def test_a_reading_that_something_here_has_overtaken_is_made_again(
    marketplace: Marketplace, dispatcher: tuple[Dispatcher, Holdings]
) -> None:
    await marketplace.accept()
    marketplace.exported = ACCEPTED[marketplace.noun].format(marketplace.id)
    marketplace.moves_while_read = True
    async with running(dispatcher[0].run, dispatcher[1]):
        await eventually(marketplace.postponed)
        assert (await marketplace.action()).unsure
        marketplace.moves_while_read = False
        await eventually(marketplace.settled)
    assert marketplace.changes == []
