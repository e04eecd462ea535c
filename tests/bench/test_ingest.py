"""New orders from the export to confirmed events, beside the bare floor and the usual script.

`make bench NEW=20000`. PostgreSQL keeps fsync on here, as in production: a commit has its price,
and the script pays it for every order. Nothing here asserts a time.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.migrate import upgrade
from tests.bench.exports import serving
from tests.bench.figures import show, show_rows
from tests.bench.running import PATIENCE
from tests.bench.taking_in import bare, taker
from tests.fixtures.postgres import private_database

NEW = int(os.environ.get("NEW", "5000"))
SCRIPTED = NEW // 10  # of them the script takes: it is that slow


@pytest.fixture
async def durable_server(tmp_path: Path) -> AsyncIterator[str]:
    """A PostgreSQL that writes through to the disk."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    yield await server.start()
    await server.stop()


@pytest.mark.timeout(PATIENCE)
async def test_ingest(durable_server: str, amqp_url: str, tmp_path: Path) -> None:
    async with serving(tmp_path / "exports") as exports:
        async with private_database(durable_server, "template1") as dsn:
            await upgrade(dsn)
            async with taker(exports, dsn, amqp_url, tmp_path) as daemon:
                exports.write(NEW)
                ours = await daemon.take_in(NEW)
        async with private_database(durable_server, "template1") as dsn:
            await upgrade(dsn)
            floor = await bare("floor", exports.url, dsn, amqp_url)
            exports.write(SCRIPTED)
            script = await bare("script", exports.url, dsn, amqp_url)
    assert (floor.orders, script.orders) == (NEW, SCRIPTED)
    runs = {
        "daemon": (NEW, ours.seconds, ours.work),
        "bare floor": (NEW, floor.seconds, floor.work),
        "script": (SCRIPTED, script.seconds, script.work),
    }
    show_rows(
        f"{NEW} new orders, two events each, to the broker's confirm",
        ("who", "orders", "seconds", "orders/s", "its processor time an order"),
        (
            (who, f"{n}", f"{seconds:.2f}", f"{n / seconds:.0f}", f"{work / n * 1e6:.0f} µs")
            for who, (n, seconds, work) in runs.items()
        ),
    )
    rate = {who: n / seconds for who, (n, seconds, _) in runs.items()}
    show(
        "Ratios",
        {
            "daemon / bare floor": f"{rate['daemon'] / rate['bare floor']:.2f}",
            "daemon / script": f"{rate['daemon'] / rate['script']:.1f}",
            "bare floor / script": f"{rate['bare floor'] / rate['script']:.1f}",
            "the database's processor time for the daemon, an order": (
                f"{ours.database / NEW * 1e6:.0f} µs"
            ),
        },
    )
