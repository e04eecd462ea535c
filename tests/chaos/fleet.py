"""The daemons of a campaign, each with lines of its own to database and broker."""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp

from tests.chaos.cluster import Brokers
from tests.chaos.link import Link, to_any, to_port, to_socket
from tests.chaos.servers import resources
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

_READY_SECONDS = 60
_INSIDE = Path(__file__).parent / "inside"
_CLOCKS_OFF = (0, 0, -3600, -40, 40, 3600)  # seconds: the clock of each daemon is one of these off


def faketime() -> Path | None:
    """The library that sets a process's clock off, where it is installed (package libfaketime)."""
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


@dataclass(frozen=True, slots=True)
class Lines:
    """A daemon's connections: one to the database, one to each node, and the one it knows of."""

    database: Link
    nodes: tuple[Link, ...]
    broker: Link


class Fleet:
    """So many daemons; whoever is killed is replaced. With `clocks` theirs are off."""

    def __init__(
        self,
        system: System,
        size: int,
        brokers: Brokers,
        marketplace: Link,
        clocks: Random | None = None,
    ):
        self.size = size
        self._system, self._brokers, self._marketplace = system, brokers, marketplace
        self._clocks = clocks if faketime() else None
        self._stack = AsyncExitStack()
        self._lines: list[Lines] = []
        self.daemons: list[Daemon] = []
        self.clocks_off = 0
        self.complaints: set[str] = set()

    async def __aenter__(self) -> Self:
        (directory,) = parse_qs(urlsplit(self._system.dsn).query)["host"]
        socket = f"{unquote(directory)}/.s.PGSQL.5432"
        for number in range(self.size):
            self._lines.append(await self._lay(socket))
            self.daemons.append(await self._launch(number))
        return self

    async def _lay(self, socket: str) -> Lines:
        enter = self._stack.enter_async_context
        database = await enter(Link(to_socket(socket)))
        nodes = [await enter(Link(to_port(port))) for port in self._brokers.ports]
        if len(nodes) == 1:
            return Lines(database, tuple(nodes), nodes[0])
        front = await enter(Link(to_any([node.port for node in nodes])))
        return Lines(database, tuple(nodes), front)

    async def __aexit__(self, *_: object) -> None:
        for daemon in self.daemons:
            await daemon.kill()
        await self._stack.aclose()

    def links(self, number: int) -> Mapping[str, Link]:
        """The lines of a daemon, by what they lead to."""
        lines = self._lines[number]
        several = lines.nodes if len(lines.nodes) > 1 else ()
        nodes = {f"broker node {place}": link for place, link in enumerate(several, 1)}
        return nodes | {
            "broker": lines.broker,
            "database": lines.database,
            "Spartoo": self._marketplace,
        }

    @property
    def to_broker(self) -> list[Link]:
        """Every daemon's line to the broker."""
        return [lines.broker for lines in self._lines]

    async def kill(self, number: int, pause: float, patience: float) -> None:
        """SIGKILL, and another one after a pause; ends when that one works, if it can in time."""
        await self.daemons[number].kill()
        self._listen(self.daemons[number])
        await asyncio.sleep(pause)
        self.daemons[number] = await self._launch(number)
        with suppress(TimeoutError, aiohttp.ClientError):
            await self.daemons[number].wait_ready(patience)

    async def freeze(self, number: int, seconds: float) -> None:
        """SIGSTOP, and SIGCONT so much later."""
        daemon = self.daemons[number]
        daemon.freeze()
        await asyncio.sleep(seconds)
        daemon.thaw()

    async def ready(self) -> None:
        """Every daemon lives, was not ended by anything but us, and is ready."""
        for daemon in self.daemons:
            await daemon.wait_ready(_READY_SECONDS)

    def _listen(self, daemon: Daemon) -> None:
        """Nothing that happens to a daemon is an error of its own."""
        self.complaints |= {
            json.dumps(record)
            for record in daemon.logs()
            if record.get("level") in {"error", "critical"}
        }

    def listen(self) -> None:
        """Take down what the living say."""
        for daemon in self.daemons:
            self._listen(daemon)

    async def held(self) -> dict[int, Mapping[str, Any]]:
        """By process: what each daemon holds."""
        return {
            d.process.pid: {**resources(d), "tasks": await self._tasks(d)} for d in self.daemons
        }

    async def _tasks(self, daemon: Daemon) -> int:
        path = self._tasks_path(daemon)
        path.unlink(missing_ok=True)
        daemon.process.send_signal(signal.SIGUSR1)

        async def written() -> bool:
            return path.exists()

        await eventually(written, 10)
        return sum(json.loads(path.read_text()).values())

    def _tasks_path(self, daemon: Daemon) -> Path:
        return self._system.directory / f"tasks-{self._system.daemons.index(daemon) + 1}.json"

    async def _launch(self, number: int) -> Daemon:
        lines = self._lines[number]
        return await self._system.launch(
            environ=self._environ(),
            database_url=f"postgresql://postgres@127.0.0.1:{lines.database.port}/postgres",
            amqp_url=f"amqp://guest:guest@127.0.0.1:{lines.broker.port}/%2F",
        )

    def _environ(self) -> dict[str, str]:
        tasks = self._system.directory / f"tasks-{len(self._system.daemons) + 1}.json"
        path = os.pathsep.join(filter(None, (str(_INSIDE), os.environ.get("PYTHONPATH"))))
        environ = {"CHAOS_TASKS": str(tasks), "PYTHONPATH": path}
        off = self._clocks.choice(_CLOCKS_OFF) if self._clocks else 0
        if off:
            self.clocks_off += 1
            environ |= {
                "LD_PRELOAD": str(faketime()),
                "FAKETIME": f"{off:+}",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        return environ
