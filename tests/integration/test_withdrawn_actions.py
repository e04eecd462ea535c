"""An action withdrawn on its way is followed where it arrived, and is never tried again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web

from adapters.postgres import actions
from adapters.postgres.database import Database
from adapters.spartoo.order import SpartooOrder
from daemon.accounts import Accounts
from daemon.command_messages import read_command
from daemon.commands import CommandDesk
from daemon.dispatcher import Dispatcher
from daemon.holdings import Holdings, Withdrawn
from daemon.metrics import Metrics
from daemon.products import upsert_products
from daemon.settings import Plan
from daemon.steps import take_steps
from statemachine.facts import Seen
from statemachine.model import CatalogId, ConnectionId, ProductId, ProductUpdate
from tests.fixtures.postgres import CIPHER, add_connection, eventually
from tests.fixtures.tasks import running
from tests.integration.spartoo_server import OK, Spartoo, serve
from tests.unit.builders import ORDER_ID, settings

FR = ConnectionId("shoes-fr")
REFUSAL = (
    f'{{"command":"order.refuse","id":"c1","by":"ada","connection":"{FR}","order_id":"{ORDER_ID}"}}'
).encode()


def now() -> datetime:
    return datetime.now(UTC)


class Marketplace:
    """One order; the first change of it hangs and is then lost, before or after it was done."""

    def __init__(self, server: Spartoo, db: Database) -> None:
        self.server, self.db = server, db
        self.status, self.quantity = 11, 1
        self.arrives = False
        self.asked, self.lost = asyncio.Event(), asyncio.Event()
        server.answer = self._answer

    @property
    def order(self) -> str:
        return (
            f"<order><orders_id>{ORDER_ID}</orders_id>"
            f"<orders_status_id>{self.status}</orders_status_id>"
            "<date_purchased>2026-11-20 09:12:00</date_purchased>"
            "<delivery><delivery_lastname>Muster</delivery_lastname>"
            "<delivery_street_address>1 rue A</delivery_street_address>"
            "<delivery_city>Lyon</delivery_city><delivery_postcode>69000</delivery_postcode>"
            "</delivery><products><product>"
            f"<products_reference>10001</products_reference><products_qty>{self.quantity}"
            "</products_qty><products_price_unit>64.99</products_price_unit>"
            "</product></products></order>"
        )

    @property
    def told(self) -> list[str]:
        """The statuses asked for, in turn."""
        return [form["statut"] for path, form in self.server.asked if "maj" in path]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if "export" in request.path:
            found = f"<root><orders>{self.order}</orders>{OK[6:]}"
            return web.Response(text=found, content_type="text/xml")
        if not self.asked.is_set():
            self.asked.set()
            await self.lost.wait()
            if self.arrives:
                self.status = int(str(form["statut"]))
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        self.status = int(str(form["statut"]))
        return web.Response(text=OK, content_type="text/xml")

    async def look(self) -> None:
        seen = SpartooOrder.from_xml(self.order.encode(), ZoneInfo("Europe/Paris"), "EUR").read()
        async with self.db.transaction() as tx:
            await take_steps(tx, settings(), {ORDER_ID: Seen(seen, now())}, now())

    async def refuse(self) -> None:
        desk = CommandDesk(self.db, Plan(), Metrics(), now)
        assert (await desk.carry_out(read_command(REFUSAL, None))).error is None

    async def settled(self) -> bool:
        async with self.db.connection() as conn:
            return all(a.settled_at for a in await actions.find(conn, FR, ORDER_ID))

    async def stands(self) -> tuple[str, int, list[str]]:
        """The order's state, the units reserved and the order's events."""
        events = "select type from events where type like 'order.%' order by position"
        async with self.db.connection() as conn:
            state = await conn.fetchval("select state from orders")
            reserved = await conn.fetchval("select reserved from products")
            return state, reserved, [row["type"] for row in await conn.fetch(events)]


@pytest.fixture
async def marketplace(db: Database) -> AsyncIterator[Marketplace]:
    async with serve() as server:
        await add_connection(db, settings(base_url=server.base_url))
        product = ProductUpdate(ProductId("10001"), stock=5, price_final_incl_tax=Decimal("64.99"))
        async with db.transaction() as tx:
            await upsert_products(tx, CatalogId("default"), [product], now())
        yield Marketplace(server, db)


def dispatcher(marketplace: Marketplace) -> tuple[Dispatcher, Holdings]:
    metrics = Metrics()
    holdings = Holdings(marketplace.db, metrics)
    assert marketplace.server.session is not None
    accounts = Accounts(marketplace.db, marketplace.server.session, CIPHER, metrics, now)
    return Dispatcher(marketplace.db, accounts, holdings, metrics, now), holdings


@asynccontextmanager
async def an_acceptance_that_is_lost(marketplace: Marketplace) -> AsyncIterator[None]:
    """It is on its way inside; then its answer is lost, and all actions are settled."""
    await marketplace.look()
    working, holdings = dispatcher(marketplace)
    async with running(working.run, holdings):
        await asyncio.wait_for(marketplace.asked.wait(), 20)
        yield
        marketplace.lost.set()
        await eventually(marketplace.settled, 40)


async def test_an_order_refused_meanwhile_is_not_accepted_again(marketplace: Marketplace) -> None:
    async with an_acceptance_that_is_lost(marketplace):
        await marketplace.refuse()
    assert marketplace.told == ["2", "41"]
    assert await marketplace.stands() == ("cancelled", 0, ["order.new", "order.cancelled"])


async def test_an_order_held_meanwhile_is_not_accepted_again(marketplace: Marketplace) -> None:
    async with an_acceptance_that_is_lost(marketplace):
        marketplace.quantity = 7
        await marketplace.look()
    assert marketplace.told == ["2"]
    told = ["order.new", "order.changed", "order.pending_manual"]
    assert await marketplace.stands() == ("pending_manual", 0, told)


async def test_an_acceptance_that_arrived_all_the_same_is_followed(
    marketplace: Marketplace,
) -> None:
    marketplace.arrives = True
    async with an_acceptance_that_is_lost(marketplace):
        marketplace.quantity = 7
        await marketplace.look()
    assert marketplace.told == ["2"]
    told = ["order.new", "order.changed", "order.pending_manual", "order.accepted"]
    assert await marketplace.stands() == ("accepted", 7, told)


async def test_what_is_wanted_again_meanwhile_is_tried_again(marketplace: Marketplace) -> None:
    async with an_acceptance_that_is_lost(marketplace):
        for quantity in (7, 1):
            marketplace.quantity = quantity
            await marketplace.look()
    assert marketplace.told == ["2", "2"]
    state, reserved, told = await marketplace.stands()
    assert (state, reserved, told[-1]) == ("accepted", 1, "order.accepted")


async def test_what_is_withdrawn_right_before_its_call_is_not_sent(
    marketplace: Marketplace,
) -> None:
    """The check stands between the last wait and the call, not where the action is claimed."""
    await marketplace.look()
    db = marketplace.db
    _, holdings = dispatcher(marketplace)
    async with db.transaction() as tx:
        hold = timedelta(seconds=30)
        (action,) = await actions.claim(tx, holdings.holder, hold, 10, 10)
    await holdings._check_wanted(action.id)
    await marketplace.refuse()
    with pytest.raises(Withdrawn):
        await holdings._check_wanted(action.id)
    async with db.transaction() as tx:
        await actions.postpone(tx, action.id, holdings.holder, now(), False, "withdrawn")
        found = {a.kind: a.status for a in await actions.find(tx, FR, ORDER_ID)}
    assert found == {"accept": "superseded", "cancel": "pending"}
