"""How soon a daemon is ready, and asks the marketplace, with many orders stored.

`make bench STORED=1000000` fills a database for some minutes first. Beside the figures stand those
of an empty database in the same run, and the daemon's processor time: on a machine that does other
things too, only these say something. Nothing here asserts a time.
"""

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.spartoo.simulator import Simulator
from tests.bench.figures import show_rows
from tests.bench.fill import fill
from tests.bench.processes import Process
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

STORED = int(os.environ.get("STORED", "100000"))
SHOPS = 5  # of those that fill.sql makes: the largest
STARTS = 5
PATIENCE = 3600


async def start(system: System) -> tuple[float, float, float]:
    """Seconds from the command to readiness, of them at work, and to the first call."""
    known = system.simulator.ledger.total
    began = time.perf_counter()
    daemon = await system.run()
    ready = time.perf_counter() - began
    worked = Process(daemon.process.pid).cpu_seconds()

    async def asks() -> bool:
        return system.simulator.ledger.total > known

    await eventually(asks, 60)
    called = time.perf_counter() - began
    assert await daemon.terminate() == 0
    return ready, worked, called


async def starts(
    simulator: Simulator, dsn: str, directory: Path
) -> list[tuple[float, float, float]]:
    system = System(simulator, dsn, None, directory)
    for number in range(SHOPS):
        system.connect(f"shop-{number:02}", account="auto", auto_accept=True)
    try:
        return [await start(system) for _ in range(STARTS)]
    finally:
        await system.close()


def told(seconds: Sequence[float]) -> str:
    rest = seconds[1:]
    return f"{seconds[0]:.2f} s, {statistics.median(rest):.2f} s, {max(rest):.2f} s"


@pytest.mark.timeout(PATIENCE)
async def test_start(
    simulator: Simulator, database_url: str, empty_database: str, tmp_path: Path
) -> None:
    await fill(empty_database, STORED)
    columns = ("stored", "until ready", "processor time of it", "until the first call")
    rows = []
    for name, dsn in (("nothing", database_url), (f"{STORED} orders", empty_database)):
        figures = await starts(simulator, dsn, tmp_path)
        rows.append((name, *(told(column) for column in zip(*figures, strict=True))))
    show_rows(f"{STARTS} starts: the first, median and slowest of the others", columns, rows)
