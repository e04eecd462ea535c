"""The simulator as a process of its own, and what a client that does nothing else gets of it."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from daemon.accounts import CALLS_AT_ONCE
from tests.bench.processes import Process
from tests.fixtures.checks import CHANGE_ORDER
from tests.fixtures.daemon_process import environment
from tests.fixtures.system import KEYS

EXPORT = "xml_export_orders"
VERIFIED, IN_PREPARATION, SHIPPED = 11, 2, 3
DAEMONS_ACCOUNT, BARE_ACCOUNT = "auto", "other"


@dataclass(frozen=True)
class Marketplace:
    """The simulator's process, spoken to as its marketplace and as its control interface."""

    url: str
    process: Process
    session: aiohttp.ClientSession

    async def place(self, account: str, count: int, status: int = IN_PREPARATION) -> list[str]:
        """Orders that pass every check."""
        wanted = {"account": account, "count": count, "status": status, "kind": "fine"}
        async with self.session.post(self._control("orders"), json=wanted) as response:
            ids: list[str] = (await response.json())["order_ids"]
        return ids

    async def answer_after(self, seconds: float) -> None:
        """From now on each call is answered so late."""
        async with self.session.delete(self._control("faults")) as response:
            response.raise_for_status()
        if seconds:
            fault = {"kind": "latency", "seconds": seconds}
            async with self.session.post(self._control("faults"), json=fault) as response:
                response.raise_for_status()

    async def change(self, account: str, order_id: str, status: int) -> None:
        """A bare post of what the daemon posts."""
        fields = {"partenaire": KEYS[account], "oID": order_id, "statut": str(status)}
        if status == SHIPPED:
            fields["tracking_number"] = f"T{order_id}"
        async with self.session.post(f"{self.url}/{CHANGE_ORDER}.php", data=fields) as response:
            response.raise_for_status()
            await response.read()

    async def calls(self, service: str = CHANGE_ORDER, after: int = 0) -> list[dict[str, Any]]:
        """Every call of a service after that number, as the ledger has it."""
        calls: list[dict[str, Any]] = []
        while True:
            query = {"service": service, "after": str(after), "limit": "1000"}
            async with self.session.get(self._control("ledger"), params=query) as response:
                found = (await response.json())["items"]
            calls += found
            if not found:
                return calls
            after = found[-1]["number"]

    def _control(self, path: str) -> str:
        return self.url.replace("/mp", f"/control/{path}")


@asynccontextmanager
async def running_marketplace(
    directory: Path, keys: Mapping[str, str]
) -> AsyncIterator[Marketplace]:
    """A simulator with accounts of these names and keys, and no orders."""
    given = [f"--account={name}={key}" for name, key in keys.items()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon.cli", "simulator", "--port=0", "--rate=0", *given),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env=environment(directory),
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


async def bare_posts(marketplace: Marketplace, orders: Iterable[str], status: int) -> float:
    """Calls a second of a client that does nothing else, at the daemon's concurrency."""
    waiting = iter(orders)
    made = 0

    async def client() -> None:
        nonlocal made
        for order_id in waiting:
            await marketplace.change(BARE_ACCOUNT, order_id, status)
            made += 1

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CALLS_AT_ONCE)))
    return made / (time.perf_counter() - started)
