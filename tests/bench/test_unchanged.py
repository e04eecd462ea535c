"""A poll of orders that have not changed: what it costs beside a bare stream parse of the export.

`make bench EXPORTED=100000` polls that many too. Nothing here asserts a time.
"""

import os
import statistics
from pathlib import Path

import pytest

from tests.bench.exports import serving
from tests.bench.figures import show_rows
from tests.bench.running import PATIENCE
from tests.bench.taking_in import bare, taker

SIZES = sorted({10_000, int(os.environ.get("EXPORTED", "10000"))})
POLLS = 5


@pytest.mark.timeout(PATIENCE)
async def test_unchanged(database_url: str, amqp_url: str, tmp_path: Path) -> None:
    rows = []
    async with (
        serving(tmp_path / "exports") as exports,
        taker(exports, database_url, amqp_url, tmp_path) as daemon,
    ):
        nothing = [await daemon.look() for _ in range(POLLS)]
        for size in SIZES:
            exports.write(size)
            await daemon.take_in(size)
            await daemon.look()  # what the first look left to be written
            polls = [await daemon.look() for _ in range(POLLS)]
            parses = [await bare("parse", exports.url) for _ in range(POLLS)]
            assert all(parse.orders == size for parse in parses)
            work = statistics.median(poll.work for poll in polls)
            floor = statistics.median(parse.work for parse in parses)
            written = statistics.median(poll.written for poll in polls)
            of_none = statistics.median(poll.written for poll in nothing)
            rows.append(
                (
                    f"{size}",
                    f"{statistics.median(poll.seconds for poll in polls):.2f} s",
                    f"{work:.2f} s",
                    f"{floor:.2f} s",
                    f"{work / floor:.2f}",
                    f"{statistics.median(poll.database for poll in polls):.2f} s",
                    f"{written:.0f}, {of_none:.0f} bytes",
                )
            )
    show_rows(
        f"A poll of unchanged orders: medians of {POLLS}",
        (
            "orders",
            "wall clock",
            "daemon's processor time",
            "bare stream parse's",
            "ratio",
            "database's",
            "written to its log, by a poll of nothing",
        ),
        rows,
    )
