"""A TCP proxy on loopback that can be cut, stalled and slowed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Literal, Self

_CHUNK = 1 << 16

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Way = Literal["there", "back"]


class Link:
    """Hands every connection on to what `connect` opens, as long as it is not hindered.

    `answers_only`: a stall or delay holds up only what comes back. What was sent has then arrived:
    late requests of a caller who is gone would be a second caller, not a bad line.
    """

    def __init__(self, connect: Callable[[], Awaitable[Streams]], *, answers_only: bool = False):
        self._connect = connect
        self._answers_only = answers_only
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._awaited: list[tuple[bytes, asyncio.Future[None]]] = []
        self.refusing = False
        self.swallowing: Way | None = None
        self.delay = 0.0  # seconds a chunk
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.mend()
        self.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def cut(self) -> None:
        """Reset every connection and take no new one."""
        self.refusing = True
        self.drop()

    def stall(self) -> None:
        """Nothing goes through; nobody is told."""
        self._flowing.clear()

    def swallow(self, way: Way) -> None:
        """What goes that way is lost and nobody is told; `drop()` must follow."""
        self.swallowing = way

    def mend(self) -> None:
        """All is well again."""
        self.refusing, self.swallowing, self.delay = False, None, 0.0
        self._flowing.set()

    async def sent(self, mark: bytes) -> None:
        """Return as soon as something that bears the mark goes there, swallowed or not."""
        passed = asyncio.get_running_loop().create_future()
        self._awaited.append((mark, passed))
        await passed

    def _tell(self, data: bytes) -> None:
        for mark, passed in self._awaited:
            if mark in data and not passed.done():
                passed.set_result(None)
        self._awaited = [waiting for waiting in self._awaited if not waiting[1].done()]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.refusing:
            writer.transport.abort()
            return
        try:
            there, back = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._writers |= ends
        pumps = [
            asyncio.create_task(self._pump(reader, back, "there")),
            asyncio.create_task(self._pump(there, writer, "back")),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in ends:
                end.close()
            self._writers -= ends

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if way == "back" or not self._answers_only:
                    await asyncio.sleep(self.delay)
                    await self._flowing.wait()
                if way == "there":
                    self._tell(data)
                if self.swallowing == way:
                    continue
                writer.write(data)
                await writer.drain()
        except OSError:
            return


def to_port(port: int) -> Callable[[], Awaitable[Streams]]:
    """Opens connections to that port of this machine."""
    return lambda: asyncio.open_connection("127.0.0.1", port)


def to_any(ports: Sequence[int]) -> Callable[[], Awaitable[Streams]]:
    """As a load balancer: opens each connection to the next port that takes it."""
    turns = count()

    async def connect() -> Streams:
        turn = next(turns) % len(ports)
        for port in (*ports[turn:], *ports[:turn]):
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise OSError("nobody is there")

    return connect


def to_socket(path: str) -> Callable[[], Awaitable[Streams]]:
    """Opens connections to that Unix socket."""
    return lambda: asyncio.open_unix_connection(path)
