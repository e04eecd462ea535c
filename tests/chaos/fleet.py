"""The daemons of a campaign, each with lines of its own to database and broker."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

import aiohttp

from tests.chaos.link import Link, to_port, to_socket
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.system import System

_READY_SECONDS = 60
_AT_WORK_SECONDS = 6


class Fleet:
    """So many daemons; whoever is killed is replaced."""

    def __init__(self, system: System, size: int, marketplace: Link):
        self.size = size
        self._system, self._marketplace = system, marketplace
        self._stack = AsyncExitStack()
        self._lines: list[tuple[Link, Link]] = []
        self.daemons: list[Daemon] = []

    async def __aenter__(self) -> Self:
        broker = urlsplit(self._system.amqp_url or "")
        (directory,) = parse_qs(urlsplit(self._system.dsn).query)["host"]
        socket = f"{unquote(directory)}/.s.PGSQL.5432"
        for number in range(self.size):
            database = await self._stack.enter_async_context(Link(to_socket(socket)))
            amqp = await self._stack.enter_async_context(Link(to_port(broker.port or 5672)))
            self._lines.append((database, amqp))
            self.daemons.append(await self._launch(number))
        return self

    async def __aexit__(self, *_: object) -> None:
        for daemon in self.daemons:
            await daemon.kill()
        await self._stack.aclose()

    def links(self, number: int) -> Mapping[str, Link]:
        """The lines of a daemon, by what they lead to."""
        database, broker = self._lines[number]
        return {"broker": broker, "database": database, "Spartoo": self._marketplace}

    async def kill(self, number: int, pause: float) -> None:
        """SIGKILL, and another one after a pause; ends when that one works, if it can."""
        await self.daemons[number].kill()
        await asyncio.sleep(pause)
        self.daemons[number] = await self._launch(number)
        with suppress(TimeoutError, aiohttp.ClientError):
            await self.daemons[number].wait_ready(_AT_WORK_SECONDS)

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

    async def _launch(self, number: int) -> Daemon:
        database, broker = self._lines[number]
        netloc = f"guest:guest@127.0.0.1:{broker.port}"
        amqp = urlsplit(self._system.amqp_url or "")
        return await self._system.launch(
            database_url=f"postgresql://postgres@127.0.0.1:{database.port}/postgres",
            amqp_url=urlunsplit(amqp._replace(netloc=netloc)),
        )
