"""The memory of a daemon that takes in one export of 2,000, 20,000 and more orders.

`make bench IN_ONE_EXPORT=200000` adds that many. Nothing here asserts an amount.
"""

import os
from pathlib import Path

import pytest

from tests.bench.exports import serving
from tests.bench.figures import show_rows
from tests.bench.processes import MEGABYTE
from tests.bench.running import PATIENCE
from tests.bench.taking_in import taker
from tests.fixtures.postgres import private_database

SIZES = sorted({2_000, 10_000, int(os.environ.get("IN_ONE_EXPORT", "10000"))})


@pytest.mark.timeout(PATIENCE)
async def test_memory(
    postgres_server: str, postgres_template: str, amqp_url: str, tmp_path: Path
) -> None:
    rows = []
    async with serving(tmp_path / "exports") as exports:
        for size in SIZES:
            async with (
                private_database(postgres_server, postgres_template) as dsn,
                taker(exports, dsn, amqp_url, tmp_path) as daemon,
            ):
                before = daemon.daemon.peak_rss() // MEGABYTE
                exports.write(size)
                cost = await daemon.take_in(size)
                new = daemon.daemon.peak_rss() // MEGABYTE
                await daemon.look()
                peak = daemon.daemon.peak_rss() // MEGABYTE
                row = (f"{before} MB", f"{new} MB", f"{peak} MB", f"{size / cost.seconds:.0f}/s")
                rows.append((f"{size}", *row))
    show_rows(
        "Peak memory of the daemon",
        ("orders in one export", "before", "taken in", "and read again unchanged", "orders/s"),
        rows,
    )
