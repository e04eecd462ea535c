"""Exports taken in by a daemon, and what that costs; the same by a program without it."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from adapters.postgres.database import Database
from tests.bench.exports import Exports
from tests.bench.processes import Process, database_process
from tests.bench.running import PATIENCE, fill_catalogue, running_daemon
from tests.fixtures.daemon_process import Daemon, environment
from tests.fixtures.postgres import eventually

ALL_PUBLISHED = """
select
    (select count(*) from orders where connection = 'shop') >= $1
    and relay.position >= (select max(position) from events)
from relay
"""
LOOKED = "select due_at is null from looks where connection = 'shop' and look = 'backfill'"
WRITTEN = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


@dataclass
class Cost:
    """Wall clock, processor time of who did it and of the database, bytes of the latter's log."""

    seconds: float = 0
    work: float = 0
    database: float = 0
    written: int = 0


@dataclass(frozen=True)
class Taker:
    """A daemon that takes exports in, its catalogue filled."""

    daemon: Daemon
    process: Process
    db: Database
    server: Process

    async def look(self) -> Cost:
        """Have it read the whole export; returns when it has."""
        async with self.measured() as cost:
            await self._ask()
            await eventually(self._looked, PATIENCE)
        return cost

    async def take_in(self, count: int) -> Cost:
        """Have it read an export of so many orders; returns when all their events are published."""
        async with self.measured() as cost:
            await self._ask()
            await eventually(lambda: self._published(count), PATIENCE)
        return cost

    async def _ask(self) -> None:
        since = (datetime.now(UTC).date() - timedelta(days=30)).isoformat()
        url = f"{await self.daemon.listening()}/api/v1/connections/shop/sync"
        async with aiohttp.request("POST", url, json={"since": since}) as response:
            response.raise_for_status()

    async def _looked(self) -> bool:
        await asyncio.sleep(0.02)
        async with self.db.connection() as conn:
            return bool(await conn.fetchval(LOOKED))

    async def _published(self, count: int) -> bool:
        await asyncio.sleep(0.05)
        async with self.db.connection() as conn:
            return bool(await conn.fetchval(ALL_PUBLISHED, count))

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[Cost]:
        """What the block costs, once it is left."""
        cost = Cost()
        began, before = time.perf_counter(), await self._spent()
        yield cost
        cost.seconds = time.perf_counter() - began
        after = await self._spent()
        cost.work, cost.database = after[0] - before[0], after[1] - before[1]
        cost.written = int(after[2] - before[2])

    async def _spent(self) -> tuple[float, float, float]:
        async with self.db.connection() as conn:
            written = float(await conn.fetchval(WRITTEN))
        return self.process.cpu_seconds(), self.server.family_seconds(), written


@asynccontextmanager
async def taker(exports: Exports, dsn: str, amqp_url: str, directory: Path) -> AsyncIterator[Taker]:
    """A daemon that has looked once, at nothing."""
    exports.write(0)
    db = await Database.open(dsn)
    try:
        await fill_catalogue(db)
        server = await database_process(db)
        async with running_daemon(exports, dsn, amqp_url, directory) as daemon:
            found = Taker(daemon, Process(daemon.process.pid), db, server)
            await found.look()
            yield found
    finally:
        await db.close()


@dataclass(frozen=True)
class Run:
    """What a program without the daemon took in, how long that took, and its processor time."""

    orders: int
    seconds: float
    work: float


async def bare(what: str, *arguments: str) -> Run:
    """A run of tests.bench.bare."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bare", what, *arguments),
        stdout=asyncio.subprocess.PIPE,
        env=environment(Path.home()),
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    (figures,) = (line for line in told.splitlines() if line.startswith(b"{"))  # among logs
    return Run(**json.loads(figures))
