"""A burst of ship commands: how soon they are at the marketplace, and what that costs.

`make bench ORDERS=10000`. Daemon, simulator, database and broker are processes of their own. Beside
the figures of the daemon stand those of bare posts to the same simulator in the same run: on a
machine that does other things too, only their ratio says something. Nothing here asserts a time.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from operator import sub
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pamqp.commands import Basic
from rich.console import Console
from rich.table import Table

from adapters.postgres.database import Database
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.topology import COMMANDS
from adapters.rabbitmq.window import PERSISTENT, Message, publish_window
from daemon.accounts import CALLS_AT_ONCE
from tests.fixtures.checks import CHANGE_ORDER, check_events, check_paths
from tests.fixtures.daemon_process import Daemon, environment
from tests.fixtures.koongo import Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import KEYS, UNLIMITED, toml

ORDERS = int(os.environ.get("ORDERS", "2000"))
CORRECTED = 10  # one order in so many is told a second, corrected tracking number
IN_PREPARATION, SHIPPED = 2, 3
SHIPPED_ACCOUNT, BARE_ACCOUNT = "auto", "other"
WINDOW = 500
PATIENCE = 1800
MEGABYTE = 1024 * 1024
ALL_THERE = """
select
    (select count(*) from orders where state = $1) = $2
    and relay.position >= (select max(position) from events)
from relay
"""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Process:
    """What the system says of a process."""

    pid: int
    rss: list[int] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Its processor time, and that of the children it waited for."""
        return sum(map(int, self._stat()[11:15])) / TICKS

    def family_seconds(self) -> float:
        """Its processor time and that of all its children."""
        everyone = (Process(int(path.name)) for path in Path("/proc").glob("[0-9]*"))
        return self.cpu_seconds() + sum(
            process.cpu_seconds() for process in everyone if process.parent() == self.pid
        )

    def parent(self) -> int:
        try:
            return int(self._stat()[1])
        except OSError:  # it has just ended
            return 0

    def _stat(self) -> list[str]:
        """The fields from the state on."""
        text = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        return text.rpartition(")")[2].split()

    async def watch(self) -> None:
        """Note the resident memory until cancelled."""
        while True:
            self.rss.append(self.megabytes())
            await asyncio.sleep(0.2)

    def megabytes(self) -> int:
        statm = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * PAGE // MEGABYTE


@dataclass(frozen=True)
class Marketplace:
    """The simulator's process, spoken to as its marketplace and as its control interface."""

    url: str
    process: Process
    session: aiohttp.ClientSession

    async def place(self, account: str, count: int) -> list[str]:
        wanted = {"account": account, "count": count, "status": IN_PREPARATION, "kind": "fine"}
        url = self.url.replace("/mp", "/control/orders")
        async with self.session.post(url, json=wanted) as response:
            ids: list[str] = (await response.json())["order_ids"]
        return ids

    async def ship(self, account: str, order_id: str) -> None:
        """A bare post of what the daemon posts."""
        fields = {"partenaire": KEYS[account], "oID": order_id, "statut": str(SHIPPED)}
        fields["tracking_number"] = f"T{order_id}"
        async with self.session.post(f"{self.url}/{CHANGE_ORDER}.php", data=fields) as response:
            response.raise_for_status()
            await response.read()

    async def shipments(self, after: int = 0) -> list[dict[str, Any]]:
        """Every call that was to change an order, as the ledger has it."""
        calls: list[dict[str, Any]] = []
        url = self.url.replace("/mp", "/control/ledger")
        while True:
            query = {"service": CHANGE_ORDER, "after": str(after), "limit": "1000"}
            async with self.session.get(url, params=query) as response:
                found = (await response.json())["items"]
            calls += found
            if not found:
                return calls
            after = found[-1]["number"]


@pytest.fixture
async def marketplace(tmp_path: Path) -> AsyncIterator[Marketplace]:
    accounts = [f"--account={name}={KEYS[name]}" for name in (SHIPPED_ACCOUNT, BARE_ACCOUNT)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon.cli", "simulator", "--port=0", "--rate=0", *accounts),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env=environment(tmp_path),
    )
    assert process.stderr is not None
    told = (await process.stderr.readline()).decode()
    draining = asyncio.create_task(process.stderr.read())
    try:
        connector = aiohttp.TCPConnector(limit=CALLS_AT_ONCE)
        async with aiohttp.ClientSession(connector=connector) as session:
            url = told.split(" at ")[1].split(",")[0]
            yield Marketplace(url, Process(process.pid), session)
    finally:
        process.terminate()
        await process.wait()
        await draining


@asynccontextmanager
async def running_daemon(
    marketplace: Marketplace, dsn: str, amqp_url: str, directory: Path
) -> AsyncIterator[Daemon]:
    plain = {
        "database_url": dsn,
        "amqp_url": amqp_url,
        "state_dir": str(directory / "state"),
        "http_port": 0,
        "log_format": "json",
    }
    connection = {
        "id": "shop",
        "base_url": marketplace.url,
        "api_key": KEYS[SHIPPED_ACCOUNT],
        "active": True,
        "poll_interval": 3600,
        "open_look_interval": 3600,
        "max_calls_per_hour": UNLIMITED,
        "default_shipping_service": "Colissimo",
    }
    config = directory / "settings.toml"
    config.write_text(f"{toml(plain)}\n[[connections]]\n{toml(connection)}", encoding="utf-8")
    daemon = await Daemon(config, directory / "daemon.log").start()
    try:
        yield await daemon.wait_ready()
    finally:
        await daemon.kill()


async def in_state(db: Database, state: str, count: int) -> None:
    """Wait until so many orders are there, and everything is published."""

    async def there() -> bool:
        await asyncio.sleep(0.3)
        async with db.connection() as conn:
            return bool(await conn.fetchval(ALL_THERE, state, count))

    await eventually(there, PATIENCE)


def command(order_id: str, tracking_number: str) -> Message:
    body = {
        "command": "order.ship",
        "id": tracking_number,
        "by": "bench",
        "connection": "shop",
        "order_id": order_id,
        "tracking_number": tracking_number,
        "shipping_service": "Colissimo",
    }
    return Message(
        exchange="",
        routing_key=COMMANDS,
        properties=Basic.Properties(message_id=tracking_number, delivery_mode=PERSISTENT),
        body=json.dumps(body).encode(),
    )


async def tell(amqp_url: str, commands: Sequence[tuple[str, Message]]) -> dict[str, float]:
    """Publish all of them as fast as the broker takes them; when each order's first one left."""
    told: dict[str, float] = {}
    broker = Broker(amqp_url)
    await broker.connect()
    channel = await broker.channel(confirms=True)
    for start in range(0, len(commands), WINDOW):
        window = commands[start : start + WINDOW]
        for order_id, _ in window:
            told.setdefault(order_id, time.time())
        assert not any(await publish_window(channel, [message for _, message in window]))
    await broker.close()
    return told


async def bare_posts(marketplace: Marketplace) -> float:
    """Calls a second of a client that does nothing else, at the daemon's concurrency."""
    ids = await marketplace.place(BARE_ACCOUNT, ORDERS)
    waiting = iter(ids)

    async def client() -> None:
        for order_id in waiting:
            await marketplace.ship(BARE_ACCOUNT, order_id)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CALLS_AT_ONCE)))
    return len(ids) / (time.perf_counter() - started)


def show(figures: dict[str, str]) -> None:
    table = Table(title=f"{ORDERS} orders shipped in a burst", show_header=False)
    for name, figure in figures.items():
        table.add_row(name, figure)
    Console(width=100).print(table)


def share(values: Sequence[int], part: float) -> int:
    return values[min(int(len(values) * part), len(values) - 1)]


@pytest.mark.timeout(PATIENCE)
async def test_ship_burst(
    marketplace: Marketplace, database_url: str, db: Database, amqp_url: str, tmp_path: Path
) -> None:
    orders = await marketplace.place(SHIPPED_ACCOUNT, ORDERS)
    async with running_daemon(marketplace, database_url, amqp_url, tmp_path) as daemon:
        await in_state(db, "synced", ORDERS)
        process = Process(daemon.process.pid)
        watching = asyncio.create_task(process.watch())
        baseline = await bare_posts(marketplace)
        (last_bare, *_) = (await marketplace.shipments())[::-1]
        commands = [(order_id, command(order_id, f"T{order_id}")) for order_id in orders]
        corrected = orders[::CORRECTED]
        commands += [(order_id, command(order_id, f"U{order_id}")) for order_id in corrected]
        async with db.connection() as conn:
            backend = Process(await conn.fetchval("select pg_backend_pid()"))
        server = Process(backend.parent())
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

        calls = await marketplace.shipments(last_bare["number"])
        async with db.connection() as conn:
            last_command = await conn.fetchval("select max(received_at) from commands")
        await check(db, orders, corrected, calls)
        async with Consumer(amqp_url) as consumer:
            await check_published(db, consumer)

    at = {call["order_id"]: datetime.fromisoformat(call["at"]).timestamp() for call in calls}
    waited = sorted(at[order_id] - told[order_id] for order_id in orders)
    calls_a_second = ORDERS / (max(at.values()) - started)
    show(
        {
            "commands, publishing took": f"{len(commands)}, {published:.1f} s",
            "commands taken": f"{len(commands) / (last_command.timestamp() - started):.0f}/s",
            "calls made": f"{calls_a_second:.0f}/s",
            "until all is stored and published": f"{whole:.1f} s",
            f"bare posts, {CALLS_AT_ONCE} at a time": f"{baseline:.0f}/s",
            "calls made / bare posts": f"{calls_a_second / baseline:.3f}",
            "from command to call, p50, p99": (
                f"{statistics.median(waited):.2f} s, {waited[int(len(waited) * 0.99)]:.2f} s"
            ),
            "processor time an order: daemon, database, simulator": ", ".join(
                f"{seconds / ORDERS * 1000:.2f} ms"
                for seconds in (of_daemon, of_database, of_simulator)
            ),
            "memory of the daemon at 0, 25, 50, 75, 100 %": ", ".join(
                f"{share(process.rss, part)} MB" for part in (0, 0.25, 0.5, 0.75, 1)
            ),
            "peak, since its start": f"{peak} MB",
        }
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


async def check_published(db: Database, consumer: Consumer) -> None:
    """Every event arrived, per order in its order."""
    async with db.connection() as conn:
        events: int = await conn.fetchval("select count(*) from events")

    async def arrived() -> bool:
        await asyncio.sleep(0.3)
        return len(consumer.first_arrivals()) >= events

    await eventually(arrived, PATIENCE)
    check_events(consumer.messages)
    check_paths(consumer.first_arrivals())
