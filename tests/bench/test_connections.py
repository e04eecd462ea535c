"""What a daemon costs that has nothing to do, with 1, 100 and 1,000 connections.

`.venv/bin/pytest -q -s tests/bench/test_connections.py`; INTERVAL=60 polls as seldom as the default
has it. Every connection is an account of its own at the simulator, without orders. One connection
in the same run is the baseline. Nothing here asserts a time.
"""

import asyncio
import os
import statistics
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from tests.bench.figures import show_rows
from tests.bench.marketplace import EXPORT, Marketplace, running_marketplace
from tests.bench.processes import Process, database_process
from tests.bench.running import PATIENCE, running_with
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.postgres import eventually, private_database

SIZES = (1, 100, 1000)
INTERVAL = int(os.environ.get("INTERVAL", "15"))
LOOKED_AT = """
select count(*) = 2 * $1 from looks
where look in ('fresh', 'open') and succeeded_at is not null
"""
TRANSACTIONS = "select xact_commit from pg_stat_database where datname = current_database()"
COLUMNS = (
    "connections",
    "ready, all seen",
    "looks",
    "share of a core",
    "database's",
    "memory",
    "transactions",
    "late: median, latest",
)


async def looked_at(db: Database, count: int) -> None:
    """Wait until every connection was looked at."""

    async def all_were() -> bool:
        await asyncio.sleep(0.3)
        async with db.connection() as conn:
            return bool(await conn.fetchval(LOOKED_AT, count))

    await eventually(all_were, PATIENCE)


async def looks(marketplace: Marketplace) -> dict[str, list[float]]:
    """When each account's orders were read."""
    at = defaultdict(list)
    for call in await marketplace.calls(EXPORT):
        at[call["account"]].append(datetime.fromisoformat(call["at"]).timestamp())
    return at


async def lateness(marketplace: Marketplace, count: int) -> list[float]:
    """How much later than an interval each account was read for the second time."""

    async def twice() -> bool:
        await asyncio.sleep(0.3)
        at = await looks(marketplace)
        return len(at) == count and all(len(moments) > 1 for moments in at.values())

    await eventually(twice, PATIENCE)
    return [first[1] - first[0] - INTERVAL for first in (await looks(marketplace)).values()]


async def idle(daemon: Daemon, marketplace: Marketplace, db: Database) -> list[str]:
    """What one whole interval costs."""
    process, server = Process(daemon.process.pid), await database_process(db)
    async with db.connection() as conn:
        transactions = await conn.fetchval(TRANSACTIONS)
        spent = [process.cpu_seconds(), server.family_seconds()]
        began = time.time()
        await asyncio.sleep(INTERVAL)
        ended = time.time()
        now = [process.cpu_seconds(), server.family_seconds()]
        transactions = await conn.fetchval(TRANSACTIONS) - transactions
    made = [at for of_one in (await looks(marketplace)).values() for at in of_one]
    shares = [(after - before) / (ended - began) for after, before in zip(now, spent, strict=True)]
    return [
        f"{sum(began <= at < ended for at in made) / INTERVAL:.1f}/s",
        *(f"{share:.1%}" for share in shares),
        f"{process.megabytes()} MB",
        f"{transactions / INTERVAL:.0f}/s",
    ]


async def measure(count: int, dsn: str, amqp_url: str, directory: Path) -> list[str]:
    """A row of figures."""
    keys = {f"shop-{number:04}": f"{number:016X}" for number in range(1, count + 1)}
    shops = [{"id": name, "api_key": key, "poll_interval": INTERVAL} for name, key in keys.items()]
    db = await Database.open(dsn, max_size=2)
    try:
        async with running_marketplace(directory, keys) as marketplace:
            began = time.time()
            async with running_with(marketplace, dsn, amqp_url, directory, shops) as daemon:
                ready = time.time() - began
                await looked_at(db, count)
                start = f"{ready:.1f} s, {time.time() - began:.1f} s"
                cost = await idle(daemon, marketplace, db)
                late = await lateness(marketplace, count)
    finally:
        await db.close()
    return [str(count), start, *cost, f"{statistics.median(late):.2f} s, {max(late):.2f} s"]


@pytest.mark.timeout(PATIENCE)
async def test_connections(
    postgres_server: str, postgres_template: str, amqp_url: str, tmp_path: Path
) -> None:
    directories = {count: tmp_path / str(count) for count in SIZES}
    for directory in directories.values():
        directory.mkdir()
    rows = []
    for count, directory in directories.items():
        async with private_database(postgres_server, postgres_template) as dsn:
            rows.append(await measure(count, dsn, amqp_url, directory))
    show_rows(f"Idle connections, looked at every {INTERVAL} s", COLUMNS, rows)
