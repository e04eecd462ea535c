"""What systemd is told, over a socket as systemd has it; and SIGHUP."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from adapters.postgres.database import Database
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.readiness import Readiness
from daemon.settings import load_settings
from daemon.systemd import ServiceManager
from daemon.web import web_app
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.postgres import eventually
from tests.fixtures.system import KEYS, System
from tests.fixtures.tasks import running

NOBODY = "amqp://127.0.0.1:1/"


class Systemd:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address: str):
        self.environ = {"NOTIFY_SOCKET": address}
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def hear(self) -> list[str]:
        """Every assignment so far."""
        while True:
            try:
                self.told += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.told

    async def hears(self, assignment: str, seconds: float = 30) -> None:
        """Wait until it is told this."""

        async def heard() -> bool:
            return assignment in self.hear()

        await eventually(heard, seconds)

    def forget(self) -> None:
        self.hear()
        self.told.clear()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    with Systemd(str(tmp_path / "n")) as systemd:
        yield systemd


async def launch(system: System, systemd: Systemd, **settings: object) -> Daemon:
    """A daemon that systemd has started; the watchdog wants to be fed every 0.6 s."""
    daemon = Daemon(
        system.settings(**settings),
        system.directory / "daemon.log",
        systemd.environ | {"WATCHDOG_USEC": "600000"},
    )
    system.daemons.append(daemon)
    return await daemon.start()


async def test_it_is_ready_without_its_broker_feeds_the_watchdog_and_says_when_it_stops(
    offline: System, systemd: Systemd
) -> None:
    daemon = await launch(offline, systemd, amqp_url=NOBODY)
    await systemd.hears("READY=1")
    await systemd.hears("STATUS=broker: not connected")
    for _ in range(3):
        systemd.forget()
        await systemd.hears("WATCHDOG=1", 5)
    assert "READY=1" not in systemd.told
    daemon.process.terminate()
    await systemd.hears("STOPPING=1")
    assert await daemon.ended() == 0


async def test_a_start_lasts_as_long_as_the_database_is_away(
    offline: System, systemd: Systemd
) -> None:
    daemon = await launch(offline, systemd, database_url="postgresql://nobody@127.0.0.1:1/none")
    await systemd.hears("EXTEND_TIMEOUT_USEC=30000000")
    await systemd.hears("STATUS=database: not reached yet")
    assert not {"READY=1", "WATCHDOG=1"} & set(systemd.hear())
    assert await daemon.terminate() == 0
    assert "STOPPING=1" in systemd.hear()


@asynccontextmanager
async def reported(systemd: Systemd, readiness: Readiness) -> AsyncIterator[None]:
    manager = ServiceManager.of(systemd.environ | {"WATCHDOG_USEC": "150000"})
    async with running(partial(manager.inform, readiness)):
        await systemd.hears("READY=1")
        yield


async def test_a_daemon_whose_work_stands_still_is_given_up(db: Database, tmp_path: Path) -> None:
    readiness = Readiness(load_settings(None, {"HOME": str(tmp_path)}), asyncio.Event())
    readiness.holdings = Holdings(db, Metrics())
    app = web_app(Metrics(), readiness)
    with Systemd(f"@spartoo-sync-{uuid4().hex}") as systemd:
        async with reported(systemd, readiness), TestClient(TestServer(app)) as client:
            await systemd.hears("WATCHDOG=1")
            assert (await client.get("/healthz")).status == 200
            readiness.holdings._turned_at -= 3600  # as if nothing had been renewed for an hour
            for _ in range(3):
                systemd.forget()
                await systemd.hears("STATUS=database: not reached yet", 5)
            assert "WATCHDOG=1" not in systemd.told
            assert (await client.get("/healthz")).status == 503


async def test_a_watchdog_meant_for_another_process_and_a_socket_that_is_gone(
    tmp_path: Path,
) -> None:
    meant = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "600000"}
    assert ServiceManager.of(meant | {"WATCHDOG_PID": str(os.getpid())}).every == pytest.approx(0.2)
    other = ServiceManager.of(meant | {"WATCHDOG_PID": "1"})
    assert other.every == 5
    other.tell("READY=1")
    assert not ServiceManager.of({}).there


async def test_sighup_applies_connections_and_log_level(offline: System, systemd: Systemd) -> None:
    offline.connect("manual")
    daemon = await launch(offline, systemd)
    await systemd.hears("READY=1")
    systemd.forget()
    offline.place("auto", 1)
    offline.connect("auto")
    offline.daemons.clear()  # the settings file is written again, not a next one
    offline.settings(log_level="warning", http_token="new")
    offline.daemons.append(daemon)
    daemon.process.send_signal(signal.SIGHUP)
    await systemd.hears("RELOADING=1")
    await systemd.hears("READY=1")
    assert any(told.startswith("MONOTONIC_USEC=") for told in systemd.told)

    async def polled() -> bool:
        return bool(await offline.states())

    await eventually(polled, 20)
    assert not daemon.logs("reloaded"), "at level warning"
    assert await daemon.terminate() == 0
    assert not daemon.logs("stopping")


async def test_settings_that_are_wrong_on_sighup_leave_the_old_ones(offline: System) -> None:
    offline.connect("manual")
    daemon = await offline.run()
    config = offline.directory / "settings-1.toml"
    good = config.read_text()
    config.write_text(good.replace("poll_interval", "pol_interval"))
    daemon.process.send_signal(signal.SIGHUP)

    async def refused() -> bool:
        return bool(daemon.logs("not reloaded: the old settings hold"))

    await eventually(refused)
    (line,) = daemon.logs("not reloaded: the old settings hold")
    assert "pol_interval" in line["faults"][0]
    assert KEYS["manual"] not in daemon.output()
    config.write_text(good.replace("http_port = 0", "http_port = 8081"))
    daemon.process.send_signal(signal.SIGHUP)

    async def reloaded() -> bool:
        return daemon.logged("reloaded", connections=[], only_after_restart=["http_port"])

    await eventually(reloaded)
    assert await daemon.missing() == []
