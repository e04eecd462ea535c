"""How many orders a second are accepted: on sight by a look, and by commands for pending ones.

`make bench ORDERS=5000`, or `.venv/bin/pytest -q -s tests/bench/test_acceptance.py`. Beside the
calls of the daemon stand bare posts to the same simulator, as many at a time, in the same run: with
a simulator that answers at once, and with one that takes as long as a marketplace does. Nothing
here asserts a time.
"""

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.database import Database
from daemon.accounts import CALLS_AT_ONCE
from tests.bench.figures import percentile, show_rows
from tests.bench.marketplace import (
    BARE_ACCOUNT,
    DAEMONS_ACCOUNT,
    IN_PREPARATION,
    VERIFIED,
    Marketplace,
    bare_posts,
)
from tests.bench.processes import Process
from tests.bench.running import (
    PATIENCE,
    check_published,
    fill_catalogue,
    in_state,
    running_daemon,
)
from tests.bench.telling import command_message, sync_message, tell
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.koongo import Consumer

ORDERS = int(os.environ.get("ORDERS", "500"))
ANSWER_SECONDS = (0.0, 0.03, 0.1)
COLUMNS = (
    "answers in",
    "bare posts",
    "calls",
    "ratio",
    "steady",
    "ratio",
    "all stored after",
    "processor time each",
)


class Bench:
    """One database's daemon and what it has accepted so far."""

    def __init__(self, marketplace: Marketplace, daemon: Daemon, db: Database, amqp_url: str):
        self.marketplace = marketplace
        self.process = Process(daemon.process.pid)
        self.db = db
        self.amqp_url = amqp_url
        self.accepted: list[str] = []

    async def accept(self, seconds: float, *, on_sight: bool) -> tuple[str, ...]:
        """Accept ORDERS while each call is answered so late; a row of figures."""
        orders = await self.marketplace.place(DAEMONS_ACCOUNT, ORDERS, VERIFIED)
        wanted = [("", sync_message())]
        if not on_sight:
            await tell(self.amqp_url, wanted)
            await in_state(self.db, "pending_manual", ORDERS)
            wanted = [(order_id, command_message("order.accept", order_id)) for order_id in orders]
        bare = await self.marketplace.place(BARE_ACCOUNT, ORDERS, VERIFIED)
        await self.marketplace.answer_after(seconds)
        baseline = await bare_posts(self.marketplace, bare, IN_PREPARATION)
        number = (await self.marketplace.calls())[-1]["number"]
        spent, started = self.process.cpu_seconds(), time.time()
        await tell(self.amqp_url, wanted)
        self.accepted += orders
        await in_state(self.db, "synced", len(self.accepted))
        whole, spent = time.time() - started, self.process.cpu_seconds() - spent
        calls = await self.marketplace.calls(after=number)
        assert sorted(call["order_id"] for call in calls) == sorted(orders)
        assert all(call["changed"] for call in calls)
        await self.marketplace.answer_after(0)
        rates = _rates(calls, started, baseline)
        cost = f"{spent / ORDERS * 1000:.2f} ms"
        return f"{seconds * 1000:.0f} ms", *rates, f"{whole:.1f} s", cost


def _rates(calls: list[dict[str, Any]], started: float, baseline: float) -> tuple[str, ...]:
    """Bare posts and calls a second: all of them since the asking, and the middle of them."""
    at = sorted(datetime.fromisoformat(call["at"]).timestamp() for call in calls)
    rate = len(at) / (at[-1] - started)
    early, late = percentile(at, 10), percentile(at, 90)
    steady = sum(early < moment <= late for moment in at) / (late - early)
    of_bare = [f"{made:.0f}/s {made / baseline:.2f}".split() for made in (rate, steady)]
    return (f"{baseline:.0f}/s", *of_bare[0], *of_bare[1])


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("on_sight", [True, False], ids=["on sight", "by command"])
async def test_acceptance(
    marketplace: Marketplace,
    database_url: str,
    db: Database,
    amqp_url: str,
    tmp_path: Path,
    on_sight: bool,
) -> None:
    await fill_catalogue(db)
    running = running_daemon(marketplace, database_url, amqp_url, tmp_path, auto_accept=on_sight)
    async with running as daemon:
        bench = Bench(marketplace, daemon, db, amqp_url)
        rows = [await bench.accept(seconds, on_sight=on_sight) for seconds in ANSWER_SECONDS]
        async with Consumer(amqp_url) as consumer:
            await check_published(db, consumer)
    how = "on sight, after a look" if on_sight else "by commands"
    title = f"{ORDERS} orders accepted {how}; bare posts {CALLS_AT_ONCE} at a time"
    show_rows(title, COLUMNS, rows)
