"""How long an order or a command is on its way, idle and at half of what can be carried.

`.venv/bin/pytest -q -s tests/bench/test_latency.py`; SAMPLES=1000 takes more of them. A command's
way ends with the call at the marketplace, an order's with its event at a consumer; it begins with
the marketplace's answer to the look that saw it, so that the polling interval is out of it. The
floor is what no daemon on these servers can do without: from a queue through a committed row to
another queue. Nothing here asserts a time.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pamqp.commands import Basic

from adapters.postgres.database import Database
from adapters.rabbitmq.topology import ORDERS as EVENT_QUEUE
from adapters.rabbitmq.topology import QUORUM
from adapters.rabbitmq.window import PERSISTENT, Message, publish_window
from tests.bench.figures import percentile, show_rows
from tests.bench.marketplace import DAEMONS_ACCOUNT, EXPORT, VERIFIED, Marketplace
from tests.bench.running import PATIENCE, fill_catalogue, in_state, running_daemon
from tests.bench.telling import command_message, sync_message, tell
from tests.fixtures.checks import CHANGE_ORDER
from tests.fixtures.postgres import eventually

SAMPLES = int(os.environ.get("SAMPLES", "100"))
APART = 0.1  # idle: one is over before the next begins
BURST = 300  # of which the full load is known
SECONDS = 5  # of half load

Arrivals = dict[tuple[str, str], float]  # order id, type of event → first arrival


class Bench:
    """A daemon at work, its marketplace, and the channel commands leave and events come by."""

    def __init__(
        self,
        marketplace: Marketplace,
        db: Database,
        amqp_url: str,
        channel: AbstractChannel,
        arrivals: Arrivals,
    ):
        self.marketplace = marketplace
        self.db = db
        self.amqp_url = amqp_url
        self.channel = channel
        self.arrivals = arrivals
        self.accepted = 0
        self.waiting = 0

    async def _publish(self, message: Message) -> float:
        """When it left."""
        left = time.time()
        assert await publish_window(self.channel, [message]) == [None]
        return left

    async def pending(self, count: int) -> list[str]:
        """Orders that wait for a command."""
        orders = await self.marketplace.place(DAEMONS_ACCOUNT, count, VERIFIED)
        await self._publish(sync_message())
        await in_state(self.db, "pending_manual", self.waiting + count)
        return orders

    async def told(self, count: int, apart: float) -> list[float]:
        """Command in the queue → call at the marketplace, each so long after the one before."""
        left, due = {}, time.time()
        orders = await self.pending(count)
        for order_id in orders:
            left[order_id] = await self._publish(command_message("order.accept", order_id))
            due = max(due + apart, left[order_id])
            await asyncio.sleep(max(0, due - time.time()))
        return await self._until_called(left)

    async def told_at_once(self, count: int) -> list[float]:
        """The same for commands that all lie in the queue."""
        orders = await self.pending(count)
        commands = [(order_id, command_message("order.accept", order_id)) for order_id in orders]
        return await self._until_called(await tell(self.amqp_url, commands))

    async def _until_called(self, left: dict[str, float]) -> list[float]:
        self.accepted += len(left)
        await in_state(self.db, "synced", self.accepted)
        calls = await self.marketplace.calls(CHANGE_ORDER)
        assert len(calls) == self.accepted
        called = {call["order_id"]: _moment(call["at"]) for call in calls}
        return [called[order_id] - moment for order_id, moment in left.items()]

    async def seen(self, count: int, apart: float) -> list[float]:
        """Orders visible → `order.new` at the consumer; the next may be placed so much later."""
        began = time.time()
        orders = await self.marketplace.place(DAEMONS_ACCOUNT, count, VERIFIED)
        placed = time.time()
        await self._publish(sync_message())
        events = [(order_id, "order.new") for order_id in orders]

        async def arrived() -> bool:
            return all(event in self.arrivals for event in events)

        await eventually(arrived, PATIENCE)
        (*_, look) = await self.marketplace.calls(EXPORT)
        visible = _moment(look["at"])
        self.waiting += count
        assert visible > placed
        await asyncio.sleep(max(0, began + apart - time.time()))
        return [self.arrivals[event] - visible for event in events]


def _moment(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


@asynccontextmanager
async def listening(amqp_url: str) -> AsyncIterator[tuple[AbstractChannel, Arrivals]]:
    """A channel, and when each event was at its consumer; the queue is there already."""
    arrivals: Arrivals = {}

    async def take(message: AbstractIncomingMessage) -> None:
        arrivals.setdefault((str(message.headers["subject"]), message.type or ""), time.time())

    async with await aio_pika.connect(amqp_url) as connection:
        consuming = await connection.channel()
        queue = await consuming.declare_queue(EVENT_QUEUE, passive=True)
        await queue.consume(take, no_ack=True)
        yield await connection.channel(), arrivals


async def floor(db: Database, channel: AbstractChannel) -> list[float]:
    """From a queue through a committed row to another queue: what nothing here can do without."""
    arrived: asyncio.Queue[None] = asyncio.Queue()
    async with db.connection() as conn:
        await conn.execute("create table floor (id text)")

        async def store(message: AbstractIncomingMessage) -> None:
            await conn.execute("insert into floor values ($1)", message.message_id)
            await publish_window(channel, [_to("floor.out")])

        async def take(_message: AbstractIncomingMessage) -> None:
            arrived.put_nowait(None)

        await _consume(channel, "floor.in", store)
        await _consume(channel, "floor.out", take)
        took = []
        for _ in range(SAMPLES):
            left = time.time()
            await publish_window(channel, [_to("floor.in")])
            await arrived.get()
            took.append(time.time() - left)
            await asyncio.sleep(APART / 10)
    return took


async def _consume(
    channel: AbstractChannel,
    name: str,
    take: Callable[[AbstractIncomingMessage], Awaitable[None]],
) -> None:
    queue = await channel.declare_queue(name, durable=True, arguments=QUORUM)
    await queue.consume(take, no_ack=True)


def _to(queue: str) -> Message:
    properties = Basic.Properties(message_id=uuid4().hex, delivery_mode=PERSISTENT)
    return Message(exchange="", routing_key=queue, properties=properties, body=b"{}")


def row(name: str, took: Sequence[float], least: Sequence[float]) -> tuple[str, ...]:
    """Median and 99th percentile, and how far each is above the floor's."""
    points = [percentile(took, percent) for percent in (50, 99)]
    above = [point - percentile(least, p) for point, p in zip(points, (50, 99), strict=True)]
    return name, str(len(took)), *(f"{seconds * 1000:.1f} ms" for seconds in (*points, *above))


@pytest.mark.timeout(PATIENCE)
async def test_latency(
    marketplace: Marketplace, database_url: str, db: Database, amqp_url: str, tmp_path: Path
) -> None:
    await fill_catalogue(db)
    async with (
        running_daemon(marketplace, database_url, amqp_url, tmp_path),
        listening(amqp_url) as (channel, arrivals),
    ):
        bench = Bench(marketplace, db, amqp_url, channel, arrivals)
        least = await floor(db, channel)
        orders = [took for _ in range(SAMPLES) for took in await bench.seen(1, APART)]
        commands = await bench.told(SAMPLES, APART)
        half = BURST / max(await bench.told_at_once(BURST)) / 2
        busy_commands = await bench.told(int(half * SECONDS), 1 / half)
        many = int(BURST / max(await bench.seen(BURST, 1)) / 2)
        busy_orders = [took for _ in range(SECONDS) for took in await bench.seen(many, 1)]
    rows = [
        row("floor: a queue, a committed row, a queue", least, least),
        row("command → call, idle", commands, least),
        row(f"command → call, at {half:.0f} a second", busy_commands, least),
        row("visible → event, idle", orders, least),
        row(f"visible → event, {many} in each second's look", busy_orders, least),
    ]
    columns = ("way", "samples", "p50", "p99", "p50 above floor", "p99 above floor")
    show_rows("Latency", columns, rows)
