"""Wake-ups between processes: LISTEN/NOTIFY, with the caller's slow poll behind it."""

import asyncio
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import structlog

from adapters.postgres.connecting import connect

log = structlog.get_logger(__name__)

CHANNEL = "spartoo_sync"
_BACKOFF_SECONDS = (0.2, 0.5, 1, 2, 5, 10)
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's last words came as a statement began
)


class Wakeups:
    """One LISTEN connection; `wait` tells a task what it has not heard of yet.

    Topics: actions, events, looks, products, stock. The connection is opened by the first wait and
    opened again with back-off when lost; then every topic counts as notified.
    """

    def __init__(self, dsn: str):
        self._dsn = dsn
        self._listening: asyncio.Task[None] | None = None
        self._heard: Counter[str] = Counter()  # notifications per topic
        self._everything = 0  # times all topics were notified at once
        self._seen: WeakKeyDictionary[asyncio.Task[Any], dict[str, int]] = WeakKeyDictionary()
        self._changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def wait(self, topic: str, timeout_seconds: float) -> bool:
        """Wait until the topic is notified; False when the time is over first.

        What was notified since this task's last wait counts, so nothing falls between two waits.
        """
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen(), name="postgres wake-ups")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task
        seen = self._seen.setdefault(task, {})
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while seen.get(topic) == self._count(topic):
                    await self._changed[topic].wait()
        news = seen.get(topic) != self._count(topic)
        seen[topic] = self._count(topic)
        return news

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def _count(self, topic: str) -> int:
        return self._heard[topic] + self._everything

    def notify(self, topic: str) -> None:
        """Wake the waiters of this process."""
        self._heard[topic] += 1
        self._release(topic)

    def _notify_all(self) -> None:
        self._everything += 1
        for topic in list(self._changed):
            self._release(topic)

    def _release(self, topic: str) -> None:
        self._changed.pop(topic, asyncio.Event()).set()

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                await self._listen_once()
                failures = 0
            except _LOST as error:
                delay = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
                log.warning("wake-ups lost", error=type(error).__name__, retry_seconds=delay)
                failures += 1
                await asyncio.sleep(delay)

    async def _listen_once(self) -> None:
        """Listen until the connection is lost."""
        lost = asyncio.Event()
        settings = {"application_name": "spartoo-sync wake-ups"}
        connection = await connect(self._dsn, timeout=10, server_settings=settings)
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda *args: self.notify(str(args[-1])))
            self._notify_all()
            await lost.wait()
        finally:
            connection.terminate()
