"""What the same libraries do with an export and no product around them.

`python -m tests.bench.bare WHAT URL [DSN AMQP_URL]`, as a process of its own with the daemon's
event loop; its only line says how many orders there were, and the seconds and processor time.

- `parse`: stream the export, let the XML parser find its orders, throw them away.
- `floor`: stream it, store the rows that the daemon stores of a new order in batches by unnest, and
  publish as many messages of that size in windows of confirms.
- `script`: what people write. Read all, then insert, commit and publish one order at a time.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, cast

import aio_pika
import aiohttp
import asyncpg
import orjson
import uvloop
from lxml import etree
from pamqp.commands import Basic
from uuid_utils.compat import uuid7

from adapters.postgres.codec import register
from adapters.postgres.queries import load
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.topology import EVENTS, declare
from adapters.rabbitmq.window import PERSISTENT, Message, publish_window
from adapters.spartoo.calls import CHUNK
from adapters.spartoo.client import EXPORT_ORDERS

BATCH = 500
CONNECTION = "bare"
SOURCE = f"/spartoo/{CONNECTION}"
Order = dict[str, Any]


async def chunks(url: str) -> AsyncIterator[bytes]:
    """The export as it comes over the line."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/{EXPORT_ORDERS}.php", data={"partenaire": "0" * 16}) as response,
    ):
        async for chunk in response.content.iter_chunked(CHUNK):
            yield chunk


async def elements(url: str) -> AsyncIterator[etree._Element]:
    """The orders one by one, each gone from the tree when the next is asked for."""
    parser = etree.XMLPullParser(events=("end",), tag="order")
    async for chunk in chunks(url):
        parser.feed(chunk)
        for _, element in cast("Any", parser.read_events()):
            yield element
            element.clear()
            del element.getparent()[0]
    parser.close()


def as_dict(element: etree._Element) -> Order:
    """Every text of it, by the names of the elements; products as a list."""
    return {
        str(child.tag): (
            [as_dict(product) for product in child]
            if child.tag == "products"
            else as_dict(child)
            if len(child)
            else child.text or ""
        )
        for child in element
    }


def rows(orders: Sequence[Order], now: datetime) -> list[Sequence[Any]]:
    """The columns of the block `insert` in orders.sql."""
    nothing: list[None] = [None] * len(orders)
    empty, found = [b"{}"] * len(orders), [orjson.dumps(order) for order in orders]
    references = [[p["products_reference"] for p in order["products"]] for order in orders]
    names = [f"{o['customers']['customers_firstname']}" for o in orders]
    return [
        [order["orders_id"] for order in orders],
        ["pending_manual"] * len(orders),
        [int(order["orders_status_id"]) for order in orders],
        [_moment(order["date_purchased"]) for order in orders],
        [blake2b(facts, digest_size=16).digest() for facts in found],
        found,
        [orjson.dumps(order["products"]) for order in orders],  # stands for the decision
        empty,
        nothing,
        nothing,
        [now] * len(orders),
        [now] * len(orders),
        nothing,
        nothing,
        nothing,
        [b"[]"] * len(orders),
        nothing,
        [orjson.dumps(one) for one in references],
        ["\n".join((name, *one)) for name, one in zip(names, references, strict=True)],
    ]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def messages(order: Order, now: datetime) -> list[Message]:
    """Two events of one order, the whole order in each."""
    return [_message(order, event, sequence, now) for sequence, event in enumerate(_EVENTS, 1)]


_EVENTS = ("order.new", "order.pending_manual")


def _message(order: Order, event: str, sequence: int, now: datetime) -> Message:
    event_id, subject = str(uuid7()), order["orders_id"]
    data = {"order": order, "transition": {"to": event, "at": now}, "decision": order["products"]}
    body = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": event,
        "subject": subject,
        "time": now,
        "sequence": sequence,
        "data": data,
    }
    return Message(
        exchange=EVENTS,
        routing_key=f"{event}.{CONNECTION}",
        properties=Basic.Properties(
            message_id=event_id,
            delivery_mode=PERSISTENT,
            headers={"subject": subject, "sequence": sequence},
        ),
        body=orjson.dumps(body),
    )


class Outside:
    """A connection to the database and a channel to the broker."""

    def __init__(self, db: "asyncpg.Connection[asyncpg.Record]", broker: Broker):
        self.db, self.broker = db, broker

    @classmethod
    async def reach(cls, dsn: str, amqp_url: str) -> "Outside":
        db = await asyncpg.connect(dsn)
        await register(db)
        broker = Broker(amqp_url)
        await broker.connect()
        await declare(broker)
        return cls(db, broker)


async def parse(url: str) -> int:
    return len([None async for _ in elements(url)])


async def floor(url: str, outside: Outside) -> int:
    """Batches are stored while those before them are published."""
    stored: asyncio.Queue[list[Message] | None] = asyncio.Queue(4)
    publishing = asyncio.create_task(_publish(outside.broker, stored))
    count, batch = 0, list[Order]()
    async for element in elements(url):
        batch.append(as_dict(element))
        count += 1
        if len(batch) == BATCH:
            await stored.put(await _store(outside.db, batch))
            batch = []
    if batch:
        await stored.put(await _store(outside.db, batch))
    await stored.put(None)
    await publishing
    return count


async def _publish(broker: Broker, stored: "asyncio.Queue[list[Message] | None]") -> None:
    channel = await broker.channel(confirms=True)
    while (batch := await stored.get()) is not None:
        for start in range(0, len(batch), BATCH):
            await publish_window(channel, batch[start : start + BATCH])


async def _store(db: "asyncpg.Connection[asyncpg.Record]", batch: Sequence[Order]) -> list[Message]:
    """The rows that the daemon keeps of a new order: its own, its words, moves, call and events."""
    now = datetime.now(UTC)
    ids = [order["orders_id"] for order in batch]
    told = [message for order in batch for message in messages(order, now)]
    twice = [order_id for order_id in ids for _ in _EVENTS]
    size = len(twice)
    async with db.transaction():
        await db.execute(_block("orders", "insert"), CONNECTION, *rows(batch, now))
        of_all = [list(values) * len(batch) for values in _MOVES]
        by, nothing, at = ["bare"] * size, [None] * size, [now] * size
        add_history = _block("orders", "add_history")
        await db.execute(add_history, CONNECTION, twice, *of_all, by, nothing, at)
        one = len(batch)
        call = (["bare"] * one, ["bare"] * one, ["read"] * one, ["first seen"] * one, [now] * one)
        await db.execute(_block("communications", "add"), call[0], ids, *call[1:])
        source, sequences = [SOURCE] * one, [len(_EVENTS)] * one
        await db.execute(_block("events", "advance_subjects"), source, ids, sequences)
        await db.execute(
            _block("events", "append"),
            [message.properties.message_id for message in told],
            list(_EVENTS) * one,
            [SOURCE] * size,
            twice,
            [1, 2] * one,
            at,
            [message.body for message in told],
            [CONNECTION] * size,
            twice,
            nothing,
            None,
        )
    return told


_MOVES = ((None, "new"), ("new", "pending_manual"), ("see", "hold"))  # from, to, trigger


def _block(group: str, block: str) -> Any:
    return _SQL[group][block]


_SQL = {group: load(group) for group in ("orders", "events", "communications")}
_SCRIPT_TABLE = "create table scripted (order_id text primary key, data json not null)"
_SCRIPT_INSERT = "insert into scripted (order_id, data) values ($1, $2)"


async def script(url: str, outside: Outside) -> int:
    await outside.db.execute(_SCRIPT_TABLE)
    channel = await outside.broker.channel(confirms=True)
    exchange = await channel.get_exchange(EVENTS)
    document = etree.fromstring(b"".join([chunk async for chunk in chunks(url)]))
    orders = [as_dict(element) for element in document.iter("order")]
    for order in orders:
        await outside.db.execute(_SCRIPT_INSERT, order["orders_id"], orjson.dumps(order))
        for message in messages(order, datetime.now(UTC)):
            await exchange.publish(_whole(message), message.routing_key)
    return len(orders)


def _whole(message: Message) -> aio_pika.Message:
    sent = message.properties
    return aio_pika.Message(
        message.body,
        headers=sent.headers,
        message_id=sent.message_id,
        delivery_mode=PERSISTENT,
    )


async def _main(what: str, url: str, *servers: str) -> None:
    outside = await Outside.reach(*servers) if servers else None
    began, worked = time.perf_counter(), time.process_time()
    match what, outside:
        case "parse", None:
            count = await parse(url)
        case "floor", Outside():
            count = await floor(url, outside)
        case "script", Outside():
            count = await script(url, outside)
        case _:
            raise SystemExit(__doc__)
    seconds, work = time.perf_counter() - began, time.process_time() - worked
    print(orjson.dumps({"orders": count, "seconds": seconds, "work": work}).decode())  # noqa: T201


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
