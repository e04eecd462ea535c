"""The stock pusher against a server that answers as told: batches, refusals, faults, budget."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from adapters.postgres import stock_pushes
from adapters.postgres.connections import get
from adapters.postgres.database import Database
from adapters.postgres.queries import load
from adapters.postgres.stock_pushes import Told
from daemon.accounts import Accounts
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.products import upsert_products
from daemon.stock_pusher import AT_ONCE, StockPusher
from statemachine.model import CatalogId, ConnectionId, ProductId, ProductUpdate
from tests.fixtures.postgres import (
    CIPHER,
    add_connection,
    eventually,
    may_stand_idle,
    waits_for_a_lock,
)
from tests.integration.spartoo_server import Spartoo, coded, serve
from tests.unit.builders import settings

FR = ConnectionId("shoes-fr")
DEFAULT = CatalogId("default")
UNLIMITED = 1_000_000


def now() -> datetime:
    return datetime.now(UTC)


def answering(code: Callable[[str], int]) -> Any:
    """A handler that answers each product with the code of its reference."""

    async def answer(request: web.Request) -> web.Response:
        xml = str((await request.post())["xml"])
        references = re.findall("<reference_partenaire>(.*?)</reference_partenaire>", xml)
        products = "".join(
            f"<product><reference_partenaire>{reference}</reference_partenaire>"
            f"<errors><error><id>{code(reference)}</id></error></errors></product>"
            for reference in references
        )
        text = f"<root><products>{products}</products></root>"
        return web.Response(text=text, content_type="text/xml")

    return answer


@pytest.fixture
async def spartoo() -> AsyncIterator[Spartoo]:
    async with serve() as server:
        server.answer = answering(lambda _: 1)
        yield server


@asynccontextmanager
async def pusher(db: Database, spartoo: Spartoo) -> AsyncIterator[None]:
    """A pusher at work."""
    assert spartoo.session is not None
    metrics = Metrics()
    accounts = Accounts(db, spartoo.session, CIPHER, metrics, now)
    holdings = Holdings(db, metrics)
    stop = asyncio.Event()
    pushing = StockPusher(db, accounts, holdings, metrics, now)
    holding, working = (
        asyncio.ensure_future(holdings.run()),
        asyncio.ensure_future(pushing.run(stop)),
    )
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(working, 10)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)


async def connect(db: Database, spartoo: Spartoo, **given: Any) -> None:
    usual = {"base_url": spartoo.base_url, "push_stock": True, "max_calls_per_hour": UNLIMITED}
    await add_connection(db, settings(**{**usual, **given}))


async def stock(db: Database, *updates: ProductUpdate, **levels: int) -> None:
    given = [ProductUpdate(ProductId(name), stock=units) for name, units in levels.items()]
    async with db.transaction() as tx:
        await upsert_products(tx, DEFAULT, [*updates, *given], now())


async def told(db: Database, *ids: str) -> list[Told]:
    async with db.connection() as conn:
        return await stock_pushes.told(conn, DEFAULT, [ProductId(i) for i in ids])


async def all_told(db: Database, seconds: float = 15) -> None:
    async def nothing_due() -> bool:
        async with db.connection() as conn:
            return not await stock_pushes.pending(conn)

    await eventually(nothing_due, seconds)


def pushed(spartoo: Spartoo) -> list[dict[str, int]]:
    """Size reference → quantity, a mapping for each call."""
    form = "<size_reference>(.*?)</size_reference><size_quantity>(.*?)</size_quantity>"
    return [
        {size: int(units) for size, units in re.findall(form, fields["xml"])}
        for where, fields in spartoo.asked
        if where.endswith("/xml_maj_stock_batch.php")
    ]


async def test_many_connections_to_a_site_that_hangs_leave_places_to_others(
    db: Database, spartoo: Spartoo
) -> None:
    gone = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await gone.wait()
        return web.Response(text="<root/>")

    async def told_there() -> bool:
        return bool((await told(db, "A"))[-1].pushed_at)

    async with serve() as silent:
        silent.answer = hang
        for number in range(AT_ONCE + 1):
            await connect(db, silent, id=f"hangs-{number}")
        await connect(db, spartoo, id="works")
        await stock(db, A=5)
        try:
            async with pusher(db, spartoo):
                await eventually(told_there)
                gone.set()
        finally:
            gone.set()


async def test_a_move_is_told_and_kept(db: Database, spartoo: Spartoo) -> None:
    await connect(db, spartoo)
    async with pusher(db, spartoo):
        await stock(db, A=5, B=0)
        await all_told(db)
        await stock(db, A=4)
        await all_told(db)
    assert pushed(spartoo)[-1] == {"A": 4}
    assert {**pushed(spartoo)[0], "A": 5} == {"A": 5, "B": 0}
    a, b = await told(db, "A", "B")
    assert (a.sent, a.error, b.sent, b.error) == (4, None, 0, None)


async def test_many_are_told_in_batches_of_500(db: Database, spartoo: Spartoo) -> None:
    await connect(db, spartoo)
    await stock(db, **{f"P{n}": n for n in range(1100)})
    async with pusher(db, spartoo):
        await all_told(db)
    assert [len(call) for call in pushed(spartoo)] == [500, 500, 100]
    assert {k: v for call in pushed(spartoo) for k, v in call.items()} == {
        f"P{n}": n for n in range(1100)
    }


async def test_each_product_keeps_its_own_answer(db: Database, spartoo: Spartoo) -> None:
    codes = {"GONE": -14, "BAD": -16, "OLD": -20, "SAME": -18, "FINE": 1}
    spartoo.answer = answering(lambda reference: codes[reference])
    await connect(db, spartoo)
    async with pusher(db, spartoo):
        await stock(db, **dict.fromkeys(codes, 5))
        await all_told(db)
        await stock(db, FINE=6)
        await all_told(db)
    kept = {push.product_id: push for push in await told(db, *codes)}
    assert {name for name, push in kept.items() if push.error is None} == {"SAME", "FINE"}
    assert "-14" in str(kept[ProductId("GONE")].error)
    assert kept[ProductId("GONE")].sent is None
    assert pushed(spartoo)[-1] == {"FINE": 6}, "what was refused is not repeated"


async def test_what_cannot_be_named_is_not_sent_and_says_so(db: Database, spartoo: Spartoo) -> None:
    await connect(db, spartoo, product_id_attribute="sku")
    await stock(
        db,
        ProductUpdate(ProductId("one"), sku="S-1", stock=1),
        ProductUpdate(ProductId("two"), sku="S-2", stock=1),
        ProductUpdate(ProductId("twin"), sku="S-2", stock=2),
        ProductUpdate(ProductId("odd"), sku="S\x01", stock=1),
        ProductUpdate(ProductId("bare"), stock=1),
    )
    async with pusher(db, spartoo):
        await all_told(db)
    assert pushed(spartoo) == [{"S-1": 1}]
    errors = {p.product_id: str(p.error) for p in await told(db, "two", "twin", "odd", "bare")}
    assert "several products have the sku S-2" in errors[ProductId("two")]
    assert "several products have the sku S-2" in errors[ProductId("twin")]
    assert "characters that cannot be sent" in errors[ProductId("odd")]
    assert "has no sku" in errors[ProductId("bare")]


async def test_a_fault_is_retried_until_it_is_over(db: Database, spartoo: Spartoo) -> None:
    spartoo.answer = Spartoo.text("gone", status=503)
    await connect(db, spartoo)
    async with pusher(db, spartoo):
        await stock(db, A=5)

        async def failed() -> bool:
            (push,) = await told(db, "A")
            return push.attempts > 0

        await eventually(failed)
        (push,) = await told(db, "A")
        assert "503" in str(push.error)
        spartoo.answer = answering(lambda _: 1)
        await all_told(db)
    (push,) = await told(db, "A")
    assert (push.sent, push.error, push.attempts) == (5, None, 0)


async def test_minus_429_rests_the_service(db: Database, spartoo: Spartoo) -> None:
    spartoo.answer = Spartoo.text(coded(-429))
    await connect(db, spartoo, throttle_backoff=3)
    async with pusher(db, spartoo):
        await stock(db, A=5)

        async def resting() -> bool:
            async with db.connection() as conn:
                rests = await conn.fetch("select service from rests")
            return [row["service"] for row in rests] == ["xml_maj_stock_batch"]

        await eventually(resting)
        calls = len(pushed(spartoo))
        spartoo.answer = answering(lambda _: 1)
        await all_told(db)
    assert calls == 1
    assert len(pushed(spartoo)) == 2


async def test_a_wrong_key_suspends_and_the_work_waits(db: Database, spartoo: Spartoo) -> None:
    spartoo.answer = Spartoo.text(coded(-2))
    await connect(db, spartoo)
    async with pusher(db, spartoo):
        await stock(db, A=5)

        async def suspended() -> bool:
            async with db.connection() as conn:
                return (await get(conn, FR)).suspended_reason == "bad_key"

        await eventually(suspended)
    assert len(pushed(spartoo)) == 1
    (push,) = await told(db, "A")
    assert push.due_at is not None


async def test_calls_are_spread_over_the_hour(db: Database, spartoo: Spartoo) -> None:
    """At 720 calls an hour there are five seconds between two; what moves meanwhile is one."""
    await connect(db, spartoo, max_calls_per_hour=720)
    async with pusher(db, spartoo):
        await stock(db, A=0)
        await all_told(db)
        began = asyncio.get_running_loop().time()
        for units in range(1, 20):
            await stock(db, A=units)
        await all_told(db)
        assert asyncio.get_running_loop().time() - began > 3
    assert pushed(spartoo) == [{"A": 0}, {"A": 19}]


async def test_without_calls_left_it_waits(db: Database, spartoo: Spartoo) -> None:
    await connect(db, spartoo, max_calls_per_hour=1)
    async with db.connection() as conn:
        await conn.execute("insert into calls values ('shoes-fr', 'xml_maj_stock_batch', now(), 1)")
    with capture_logs() as logs:
        async with pusher(db, spartoo):
            await stock(db, A=5)

            async def tried() -> bool:
                return any("no calls left" in record.get("error", "") for record in logs)

            await eventually(tried)
    assert pushed(spartoo) == []
    (push,) = await told(db, "A")
    assert push.due_at is not None
    assert push.error is None


async def test_who_lost_the_role_before_the_call_tells_nothing(
    db: Database, spartoo: Spartoo
) -> None:
    """Counting the call took long: another process may be telling newer numbers by now."""
    await connect(db, spartoo)
    with capture_logs() as logs:

        async def logged(*events: str) -> bool:
            return any(entry["event"] in events for entry in logs)

        async with db.connection() as conn, pusher(db, spartoo):
            counting = conn.transaction()
            await counting.start()
            await may_stand_idle(conn)
            await conn.execute(load("budget")["lock"], FR, "xml_maj_stock_batch")
            await stock(db, A=5)
            await eventually(lambda: waits_for_a_lock(db))
            async with db.connection() as other:
                await other.execute(
                    "update leases set holder = 'other', expires_at = now() + interval '1 hour'"
                )
            await eventually(lambda: logged("role lost"))
            await counting.rollback()
            await eventually(lambda: logged("stock told", "stock told later"))
    assert pushed(spartoo) == []
