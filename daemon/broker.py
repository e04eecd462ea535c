"""The broker as relay and command reader use it: connected when needed, topology declared."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager

from adapters.ports import BrokerUnavailable, CommandMessage, LoggedEvent
from adapters.rabbitmq.commands import AmqpCommandSource
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.publisher import AmqpPublisher
from adapters.rabbitmq.topology import declare


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
        return not self.broker.closed

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
