"""The broker as relay and command reader use it: connected when needed, topology declared."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager

import structlog

from adapters.ports import BrokerUnavailable, CommandMessage, LoggedEvent
from adapters.rabbitmq.commands import AmqpCommandSource
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.publisher import AmqpPublisher
from adapters.rabbitmq.topology import declare
from daemon.backoff import backoff
from daemon.supervisor import wait_or_stop

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0


class BrokerLink:
    """One connection; each declares the topology, for the broker may have been emptied."""

    def __init__(self, url: str):
        self.broker = Broker(url)
        self._publisher = AmqpPublisher(self.broker)
        self._source = AmqpCommandSource(self.broker)
        self._opening = asyncio.Lock()
        self._declared = False

    @property
    def connected(self) -> bool:
        """True while the broker is reached and everything is declared."""
        return self._declared and not self.broker.closed

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected until `stop`, also while another process has the roles that need it."""
        failures = 0
        while not stop.is_set():
            try:
                with self._watched():
                    await self._ready()
                failures, delay = 0, _LOOK_SECONDS
            except BrokerUnavailable as error:
                failures += 1
                delay = backoff(failures, first=0.5, cap=15).total_seconds()
                log.debug("broker not reached", error=str(error), seconds=round(delay, 1))
            except Exception:  # what nobody foresaw: events wait, the rest goes on
                failures += 1
                delay = backoff(failures, first=0.5, cap=15).total_seconds()
                log.exception("broker not reached", seconds=round(delay, 1))
            await wait_or_stop(stop, delay)

    async def _ready(self) -> None:
        async with self._opening:
            await self.broker.connect()
            if not self._declared:
                await declare(self.broker)
                self._declared = True

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A deleted queue or exchange looks like a lost connection: declare again after either."""
        try:
            yield
        except BrokerUnavailable:
            self._declared = False
            raise

    async def publish(self, events: Sequence[LoggedEvent]) -> Sequence[str | None]:
        """As EventPublisher. Raises BrokerUnavailable."""
        with self._watched():
            await self._ready()
            return await self._publisher.publish(events)

    async def commands(self) -> AsyncGenerator[CommandMessage]:
        """As CommandSource. Raises BrokerUnavailable."""
        with self._watched():
            await self._ready()
            async with aclosing(self._source.commands()) as commands:
                async for command in commands:
                    yield command

    async def close(self) -> None:
        """Leave the broker."""
        await self.broker.close()
