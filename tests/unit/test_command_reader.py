"""The command reader's lanes: nothing a command does keeps others from being carried out."""

import asyncio

from structlog.testing import capture_logs

from daemon.command_messages import OrderFetch, StockSet
from daemon.command_reader import Lanes

STOCK = StockSet(id="1", command="stock.set", product_id="10001", stock=1)
FETCH = OrderFetch(id="2", command="order.fetch", connection="fr", order_id="A")


async def test_a_lane_outlives_work_that_fails() -> None:
    lanes, done = Lanes(), asyncio.Event()

    async def fail() -> None:
        raise TypeError("a reply that cannot be written")

    async def work() -> None:
        done.set()

    with capture_logs() as logs:
        lanes.put(FETCH, fail)
        lanes.put(STOCK, fail)
        lanes.put(STOCK, work)
        async with asyncio.timeout(5):
            await done.wait()
        await lanes.drain()
    assert [entry["event"] for entry in logs] == ["command not answered"] * 2
