"""The outbox after an outage: how fast a backlog leaves, and what memory that takes.

`.venv/bin/pytest -q -s tests/bench/test_relay.py`; EVENTS=1000000 makes a long one. Beside the
relay stand the same messages published in the same windows by a client that has them in memory and
writes nothing down. Nothing here asserts a time.
"""

import asyncio
import os
import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from adapters.postgres import events
from adapters.postgres.codec import dump
from adapters.postgres.database import Database
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.publisher import event_message
from adapters.rabbitmq.topology import ORDERS as EVENT_QUEUE
from adapters.rabbitmq.topology import declare
from adapters.rabbitmq.window import publish_window
from daemon.relay import WINDOW
from statemachine.connection import ConnectionSettings
from statemachine.draft import Context
from statemachine.facts import Seen
from statemachine.step import first_sight
from statemachine.stock import Catalogue
from tests.bench.figures import show
from tests.bench.marketplace import Marketplace
from tests.bench.processes import MEGABYTE, Process, database_process, share
from tests.bench.running import PATIENCE, running_daemon
from tests.unit.builders import line, marketplace_order

EVENTS = int(os.environ.get("EVENTS", "50000")) // (2 * WINDOW) * (2 * WINDOW)
BARE = min(EVENTS, 20_000)


def event_data() -> bytes:
    """What an event of an order with two lines holds."""
    now = datetime.now(UTC)
    settings = ConnectionSettings(id="shop", marketplace="spartoo", site="fr")
    order = marketplace_order(line(1), line(2))
    changes = first_sight(Seen(order, now), Context(settings, Catalogue((), "id"), now))
    return dump(changes.events[0].data)


async def fill(db: Database) -> None:
    """The log as an outage leaves it; nothing of it is published."""
    subjects, log = (files("tests.bench") / "backlog.sql").read_text("utf-8").split("\n\n")
    async with db.transaction() as tx:
        await tx.execute("set local statement_timeout = 0; set local synchronous_commit = off")
        await tx.execute(cast("Any", subjects), EVENTS, timeout=PATIENCE)
        await tx.execute(cast("Any", log), EVENTS, event_data(), timeout=PATIENCE)


async def bare_publishing(db: Database, amqp_url: str) -> float:
    """Messages a second of a client that has them in memory."""
    async with db.connection() as conn:
        messages = [event_message(event) for event in await events.after(conn, 0, BARE)]
    broker = Broker(amqp_url)
    await broker.connect()
    await declare(broker)
    channel = await broker.channel(confirms=True)
    started = time.perf_counter()
    for start in range(0, BARE, WINDOW):
        assert not any(await publish_window(channel, messages[start : start + WINDOW]))
    rate = BARE / (time.perf_counter() - started)
    queue = await channel.get_queue(EVENT_QUEUE)
    await queue.purge()
    await broker.close()
    return rate


async def drained(db: Database) -> list[tuple[float, int]]:
    """The relay's position from moment to moment, until it has come to the end."""
    passed = [(time.time(), 0)]
    while passed[-1][1] < EVENTS:
        await asyncio.sleep(0.2)
        async with db.connection() as conn:
            position = await events.relay_position(conn)
        passed.append((time.time(), position))
    begun = next(number for number, (_, position) in enumerate(passed) if position)
    return passed[begun:]


def rate(passed: list[tuple[float, int]], begin: float, end: float) -> float:
    """Events a second between two parts of the whole."""
    (_, first), (_, last) = passed[0], passed[-1]
    marks = [first + (last - first) * part for part in (begin, end)]
    (began, low), (ended, high) = (
        next(sample for sample in passed if sample[1] >= mark) for mark in marks
    )
    return (high - low) / (ended - began)


async def check_arrived(amqp_url: str) -> None:
    """Each event once, those of a subject in sequence."""
    arrived: dict[str, list[int]] = {}
    ids: set[str] = set()
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(EVENT_QUEUE)
        all_there = asyncio.Event()

        async def take(message: AbstractIncomingMessage) -> None:
            ids.add(message.message_id or "")
            subject, sequence = str(message.headers["subject"]), message.headers["sequence"]
            arrived.setdefault(subject, []).append(cast("int", sequence))
            if len(ids) == EVENTS:
                all_there.set()

        await queue.consume(take, no_ack=True)
        async with asyncio.timeout(PATIENCE):
            await all_there.wait()
        rest = await channel.declare_queue(EVENT_QUEUE, passive=True)
        assert rest.declaration_result.message_count == 0
    assert len(arrived) == EVENTS // 2
    assert all(sequences == [1, 2] for sequences in arrived.values())


@pytest.mark.timeout(PATIENCE)
async def test_relay(
    marketplace: Marketplace, database_url: str, db: Database, amqp_url: str, tmp_path: Path
) -> None:
    await fill(db)
    baseline = await bare_publishing(db, amqp_url)
    server = await database_process(db)
    async with running_daemon(marketplace, database_url, amqp_url, tmp_path) as daemon:
        process = Process(daemon.process.pid)
        watching = asyncio.create_task(process.watch())
        spent = process.cpu_seconds(), server.family_seconds()
        passed = await drained(db)
        of_daemon, of_database = (
            process.cpu_seconds() - spent[0],
            server.family_seconds() - spent[1],
        )
        watching.cancel()
        peak = daemon.peak_rss() // MEGABYTE
    await check_arrived(amqp_url)
    whole = rate(passed, 0, 1)
    show(
        f"{EVENTS} events waiting",
        {
            "bare, in windows of the relay's size": f"{baseline:.0f}/s",
            "relay": f"{whole:.0f}/s",
            "relay / bare": f"{whole / baseline:.2f}",
            "at the begin, in the middle, at the end": ", ".join(
                f"{rate(passed, part, part + 0.2):.0f}/s" for part in (0, 0.4, 0.8)
            ),
            "time to drain": f"{passed[-1][0] - passed[0][0]:.1f} s",
            "processor time of 1,000 events: daemon, database": (
                f"{of_daemon / EVENTS * 1e6:.0f} ms, {of_database / EVENTS * 1e6:.0f} ms"
            ),
            "memory of the daemon at 0, 25, 50, 75, 100 %": ", ".join(
                f"{share(process.rss, part)} MB" for part in (0, 0.25, 0.5, 0.75, 1)
            ),
            "peak, since its start": f"{peak} MB",
        },
    )
