"""The same work with nothing and with many orders stored: taking in, polling, accepting, looking.

`make bench STORED=1000000`; filling a database takes some minutes. Nothing here asserts a time.
"""

import os
import statistics
import time
from pathlib import Path

import aiohttp
import pytest

from adapters.postgres.migrate import upgrade
from tests.bench.exports import serving
from tests.bench.figures import show_rows
from tests.bench.fill import fill
from tests.bench.running import PATIENCE, in_state
from tests.bench.taking_in import Cost, Taker, taker
from tests.bench.telling import command_message, tell
from tests.fixtures.postgres import private_database

STORED = sorted({0, 100_000, int(os.environ.get("STORED", "100000"))})
NEW = 5_000
ACCEPTED = 1_000
VIEWS = 20
PAGES = {
    "orders of all connections": "/api/v1/orders",
    "pending orders": "/api/v1/orders?state=pending_manual",
    "a customer": "/api/v1/orders?q=ada",
    "the plan": "/api/v1/plan",
}
NEWEST = "select order_id from orders where connection = 'shop' order by order_id limit $1"


async def accepted(daemon: Taker, amqp_url: str) -> Cost:
    """Orders accepted by command, until the store knows of them."""
    async with daemon.db.connection() as conn:
        ids = [row["order_id"] for row in await conn.fetch(NEWEST, ACCEPTED)]
        there = await conn.fetchval("select count(*) from orders where state = 'synced'")
    async with daemon.measured() as cost:
        await tell(amqp_url, [(one, command_message("order.accept", one)) for one in ids])
        await in_state(daemon.db, "synced", there + ACCEPTED)
    return cost


async def milliseconds(daemon: Taker, path: str) -> float:
    """The median time of an answer, from asking to its last byte."""
    took = []
    async with aiohttp.ClientSession(await daemon.daemon.listening()) as session:
        for _ in range(VIEWS):
            began = time.perf_counter()
            async with session.get(path) as response:
                response.raise_for_status()
                await response.read()
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def told(cost: Cost, count: int) -> str:
    each = (f"{work / count * 1e6:.0f}" for work in (cost.work, cost.database))
    return " + ".join(each) + " µs"


@pytest.mark.timeout(PATIENCE)
async def test_growth(postgres_server: str, amqp_url: str, tmp_path: Path) -> None:
    rows = []
    async with serving(tmp_path / "exports") as exports:
        for stored in STORED:
            async with private_database(postgres_server, "template1") as dsn:
                await (fill(dsn, stored) if stored else upgrade(dsn))
                async with taker(exports, dsn, amqp_url, tmp_path) as daemon:
                    await daemon.take_in(0)  # what the filling left to be published
                    exports.write(NEW)
                    new = await daemon.take_in(NEW)
                    unchanged = [await daemon.look() for _ in range(5)]
                    poll = min(unchanged, key=lambda cost: cost.work)
                    by_command = await accepted(daemon, amqp_url)
                    views = [f"{await milliseconds(daemon, path):.1f}" for path in PAGES.values()]
            costs = (told(new, NEW), told(poll, NEW), told(by_command, ACCEPTED))
            rows.append((f"{stored}", f"{NEW / new.seconds:.0f}", *costs, ", ".join(views)))
    show_rows(
        "Processor time an order: daemon + database",
        (
            "stored",
            "orders/s",
            "taken in",
            "polled unchanged",
            "accepted by command",
            f"ms of {', '.join(PAGES)}",
        ),
        rows,
    )
