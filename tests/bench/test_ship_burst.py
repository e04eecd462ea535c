"""A burst of ship commands: how soon they are at the marketplace, and what that costs.

`make bench ORDERS=10000`. Daemon, simulator, database and broker are processes of their own. Beside
the figures of the daemon stand those of bare posts to the same simulator in the same run: on a
machine that does other things too, only their ratio says something. Nothing here asserts a time.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from datetime import datetime
from operator import sub
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.database import Database
from adapters.rabbitmq.window import Message
from daemon.accounts import CALLS_AT_ONCE
from tests.bench.figures import percentile, show
from tests.bench.marketplace import (
    BARE_ACCOUNT,
    DAEMONS_ACCOUNT,
    SHIPPED,
    Marketplace,
    bare_posts,
)
from tests.bench.processes import MEGABYTE, Process, database_process, share
from tests.bench.running import PATIENCE, check_published, in_state, running_daemon
from tests.bench.telling import command_message, tell
from tests.fixtures.koongo import Consumer

ORDERS = int(os.environ.get("ORDERS", "2000"))
CORRECTED = 10  # one order in so many is told a second, corrected tracking number


def ship(order_id: str, tracking_number: str) -> Message:
    fields = {"tracking_number": tracking_number, "shipping_service": "Colissimo"}
    return command_message("order.ship", order_id, id=tracking_number, **fields)


@pytest.mark.timeout(PATIENCE)
async def test_ship_burst(
    marketplace: Marketplace, database_url: str, db: Database, amqp_url: str, tmp_path: Path
) -> None:
    orders = await marketplace.place(DAEMONS_ACCOUNT, ORDERS)
    async with running_daemon(marketplace, database_url, amqp_url, tmp_path) as daemon:
        await in_state(db, "synced", ORDERS)
        process = Process(daemon.process.pid)
        watching = asyncio.create_task(process.watch())
        bare = await marketplace.place(BARE_ACCOUNT, ORDERS)
        baseline = await bare_posts(marketplace, bare, SHIPPED)
        (last_bare, *_) = (await marketplace.calls())[::-1]
        commands = [(order_id, ship(order_id, f"T{order_id}")) for order_id in orders]
        corrected = orders[::CORRECTED]
        commands += [(order_id, ship(order_id, f"U{order_id}")) for order_id in corrected]
        server = await database_process(db)
        spent = [process.cpu_seconds(), marketplace.process.cpu_seconds(), server.family_seconds()]
        process.rss.clear()
        started = time.time()
        told = await tell(amqp_url, commands)
        published = time.time() - started
        await in_state(db, "shipped", ORDERS)
        whole = time.time() - started
        now = [process.cpu_seconds(), marketplace.process.cpu_seconds(), server.family_seconds()]
        of_daemon, of_simulator, of_database = map(sub, now, spent)
        watching.cancel()
        peak = daemon.peak_rss() // MEGABYTE

        calls = await marketplace.calls(after=last_bare["number"])
        async with db.connection() as conn:
            last_command = await conn.fetchval("select max(received_at) from commands")
        await check(db, orders, corrected, calls)
        async with Consumer(amqp_url) as consumer:
            await check_published(db, consumer)

    at = {call["order_id"]: datetime.fromisoformat(call["at"]).timestamp() for call in calls}
    waited = [at[order_id] - told[order_id] for order_id in orders]
    calls_a_second = ORDERS / (max(at.values()) - started)
    show(
        f"{ORDERS} orders shipped in a burst",
        {
            "commands, publishing took": f"{len(commands)}, {published:.1f} s",
            "commands taken": f"{len(commands) / (last_command.timestamp() - started):.0f}/s",
            "calls made": f"{calls_a_second:.0f}/s",
            "until all is stored and published": f"{whole:.1f} s",
            f"bare posts, {CALLS_AT_ONCE} at a time": f"{baseline:.0f}/s",
            "calls made / bare posts": f"{calls_a_second / baseline:.3f}",
            "from command to call, p50, p99": (
                f"{statistics.median(waited):.2f} s, {percentile(waited, 99):.2f} s"
            ),
            "processor time an order: daemon, database, simulator": ", ".join(
                f"{seconds / ORDERS * 1000:.2f} ms"
                for seconds in (of_daemon, of_database, of_simulator)
            ),
            "memory of the daemon at 0, 25, 50, 75, 100 %": ", ".join(
                f"{share(process.rss, part)} MB" for part in (0, 0.25, 0.5, 0.75, 1)
            ),
            "peak, since its start": f"{peak} MB",
        },
    )


async def check(
    db: Database,
    orders: Sequence[str],
    corrected: Sequence[str],
    calls: Sequence[dict[str, Any]],
) -> None:
    """One call an order; commands of one order were carried out in their order."""
    assert sorted(call["order_id"] for call in calls) == sorted(orders)
    assert all(call["changed"] for call in calls)
    async with db.connection() as conn:
        rows = await conn.fetch(
            "select order_id, shipments -> -1 ->> 'tracking_number' as tracking from orders"
        )
    last = {row["order_id"]: row["tracking"] for row in rows}
    assert last == {order_id: f"T{order_id}" for order_id in orders} | {
        order_id: f"U{order_id}" for order_id in corrected
    }
