"""An open order is followed however old it is, and costs no export of all since then."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from adapters.postgres import orders
from adapters.postgres.database import Database
from daemon.accounts import Accounts
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.poller import Poller
from statemachine.changes import Changes
from statemachine.model import ConnectionId, Order, OrderId, OrderState
from tests.fixtures.postgres import CIPHER, add_connection, eventually
from tests.fixtures.tasks import running
from tests.integration.spartoo_server import OK, Spartoo, serve
from tests.unit.builders import marketplace_order, settings

FR = ConnectionId("shoes-fr")


def now() -> datetime:
    return datetime.now(UTC)


async def keep(db: Database, order_id: str, age: timedelta) -> None:
    facts = marketplace_order(order_id=OrderId(order_id), purchased_at=now() - age, status=2)
    order = Order(FR, facts, OrderState.SYNCED, now(), now())
    async with db.transaction() as tx:
        await orders.record(tx, settings(), [Changes(order, created=True)], {})


def poller(db: Database, server: Spartoo) -> tuple[Poller, Holdings]:
    metrics = Metrics()
    holdings = Holdings(db, metrics)
    assert server.session is not None
    accounts = Accounts(db, server.session, CIPHER, metrics, now)
    return Poller(db, accounts, holdings, metrics, now), holdings


async def test_the_old_ones_are_read_by_id_and_the_rest_from_the_oldest_of_them(
    db: Database,
) -> None:
    async with serve() as server:

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=f"<root><orders/>{OK[6:]}", content_type="text/xml")

        server.answer = answer
        await add_connection(db, settings(base_url=server.base_url))
        await keep(db, "OLD", timedelta(days=200))
        await keep(db, "YOUNG", timedelta(days=2))
        async with db.transaction() as tx:
            await tx.execute("delete from looks where look <> 'open'")
        polls, holdings = poller(db, server)

        async def read() -> bool:
            return any(form.get("oID") == "OLD" for _, form in server.asked)

        async with running(polls.run, holdings):
            await eventually(read)
        exports = [form for path, form in server.asked if "export_orders" in path]
    since = [form["date"] for form in exports if "date" in form]
    assert len(since) == 1
    assert since[0] > f"{now() - timedelta(days=4):%Y-%m-%d}"
