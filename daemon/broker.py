"""The broker as relay and command reader use it: connected when needed, topology declared."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from adapters.ports import CommandMessage, LoggedEvent
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

    @property
    def connected(self) -> bool:
        return not self.broker.closed

    async def _ready(self) -> None:
        async with self._opening:
            if self.broker.closed:
                await self.broker.connect()
                await declare(self.broker)

    async def publish(self, events: Sequence[LoggedEvent]) -> Sequence[str | None]:
        """As EventPublisher. Raises BrokerUnavailable."""
        await self._ready()
        return await self._publisher.publish(events)

    async def commands(self) -> AsyncIterator[CommandMessage]:
        """As CommandSource. Raises BrokerUnavailable."""
        await self._ready()
        async for command in self._source.commands():
            yield command

    async def close(self) -> None:
        """Leave the broker."""
        await self.broker.close()
