"""The disk of the embedded database fills up, and has room again: the daemon waits and goes on."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.spartoo.simulator import Simulator
from tests.chaos.test_campaign import pytestmark as of_its_clients
from tests.fixtures.koongo import Consumer
from tests.fixtures.system import System

MIB = 1 << 20
FULL_SECONDS = (1, 6)

pytestmark = of_its_clients


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 MiB in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("NOT TESTED: a full disk; that needs the right to mount a small tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.timeout(300)
async def test_a_full_disk_is_waited_out(
    simulator: Simulator, small_disk: Path, amqp_url: str, tmp_path: Path
) -> None:
    system = System(simulator, "", amqp_url, tmp_path)
    system.connect("auto", auto_accept=True)
    daemon = await system.run(database_url=None, state_dir=str(small_disk))
    joined = EmbeddedPostgres(small_disk / "postgres")
    system.dsn = await joined.start()
    try:
        await system.fill_catalogue(1000)
        async with Consumer(amqp_url) as consumer:
            for seconds in FULL_SECONDS:
                await _fill(small_disk / "filler", system, seconds)
            orders = {order.id: "synced" for order in simulator.world.orders.values()}
            await daemon.wait_ready(60)
            await system.reaches(orders, 120)
            await system.check(consumer)
        assert not [record for record in daemon.logs() if record.get("level") == "error"]
    finally:
        await system.close()
        await joined.stop()


async def _fill(filler: Path, system: System, seconds: float) -> None:
    """Orders come while there is no room: none before the database has met it, if it is soon."""
    system.place("auto", 20, kind="fine")
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(MIB))
        except OSError:
            pass
    try:
        system.place("auto", 200, kind="fine")
        await asyncio.sleep(seconds)
    finally:
        os.unlink(filler)  # noqa: PTH108 - at once
    system.place("auto", 20, kind="fine")
