"""The store at the other end: takes events from its queue, checks them, and answers."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import uuid4

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, DeliveryMode

from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.topology import COMMANDS, ORDERS

_PREFETCH = 100

PENDING = "spartoo.order.pending_manual.v1"
SYNCED = "spartoo.order.synced.v1"

Event: TypeAlias = dict[str, Any]


class Receipts:
    """Which events arrived, how often, and whether each subject's came in order."""

    def __init__(self) -> None:
        self.arrivals: Counter[str] = Counter()  # by event id
        self.faults: list[str] = []  # events out of order or after a gap
        self._last: dict[tuple[str, str], int] = {}

    @property
    def repeats(self) -> int:
        """Deliveries beyond the first of an event."""
        return self.arrivals.total() - len(self.arrivals)

    def note(self, event: Event) -> bool:
        """Take note of an arrival; False when the event came before."""
        self.arrivals[event["id"]] += 1
        if self.arrivals[event["id"]] > 1:
            return False
        about, sequence = (event["source"], event["subject"]), event["sequence"]
        expected = self._last.get(about, 0) + 1
        if sequence != expected:
            where = f"{event['source']} {event['subject']}"
            self.faults.append(f"{where}: #{sequence} came where #{expected} was due")
        self._last[about] = max(sequence, self._last.get(about, 0))
        return True


class Downstream:
    """The consumer of `koongo.orders`; `seen` is told of every event that is new to it."""

    def __init__(self, broker: Broker, seen: Callable[[str, Event], Awaitable[None]]):
        self._broker = broker
        self._seen = seen
        self._sending: AbstractChannel | None = None
        self.receipts = Receipts()

    async def consume(self) -> None:
        """Take events until cancelled; an order that is synced gets the store's own id."""
        channel = await self._broker.channel()
        await channel.set_qos(_PREFETCH)
        queue = await channel.get_queue(ORDERS)
        async with queue.iterator() as messages:
            async for message in messages:
                await self._take(message)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        event: Event = orjson.loads(message.body)
        if self.receipts.note(event):
            await self._seen(message.routing_key or "", event)
            if event["type"] == SYNCED:
                order = event["data"]["order"]
                await self.command(
                    "order.acknowledge",
                    order,
                    by="the demo's store",
                    store_order_id=f"S-{order['order_id'][:8]}",
                )
        await message.ack()

    async def command(self, name: str, order: Event, *, by: str, **fields: str) -> None:
        """Put a command about an order into the daemon's queue."""
        if self._sending is None:
            self._sending = await self._broker.channel(confirms=True)
        about = {"connection": order["connection"], "order_id": order["order_id"]}
        body = orjson.dumps({"command": name, "id": str(uuid4()), "by": by, **about, **fields})
        message = aio_pika.Message(
            body, content_type="application/json", delivery_mode=DeliveryMode.PERSISTENT
        )
        await self._sending.default_exchange.publish(message, routing_key=COMMANDS)
