"""Events out: each as a CloudEvents message on the exchange `spartoo.events`."""

from collections.abc import Sequence

from aio_pika.abc import AbstractChannel
from pamqp.commands import Basic
from pamqp.common import FieldTable

from adapters.ports import BrokerUnavailable, LoggedEvent
from adapters.rabbitmq.connection import Broker, translated
from adapters.rabbitmq.envelope import CONTENT_TYPE, cloud_event
from adapters.rabbitmq.topology import EVENTS
from adapters.rabbitmq.window import PERSISTENT, Message, publish_window

BLOCKED = (
    "RabbitMQ takes no messages now (memory or disk alarm); they wait and go out by themselves,"
    " see rabbitmq-diagnostics check_local_alarms"
)


def event_message(event: LoggedEvent) -> Message:
    """The message of one event: routing key, properties, headers and body."""
    owner = event.source.rpartition("/")[2]  # the connection, or the catalogue of stock events
    headers: FieldTable = {"subject": event.subject, "sequence": event.sequence}
    if event.catalog is not None:
        headers["catalog"] = event.catalog
    if event.catalog is None or event.connection is not None:
        headers["connection"] = event.connection or owner
    if event.traceparent is not None:
        headers["traceparent"] = event.traceparent
    return Message(
        exchange=EVENTS,
        routing_key=f"{event.type}.{owner}",
        properties=Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=PERSISTENT,
            message_id=str(event.id),
            timestamp=event.time,
            message_type=str(event.type),
            app_id="spartoo-sync",
            headers=headers,
        ),
        body=cloud_event(event),
    )


class AmqpPublisher:
    """An EventPublisher on a connected Broker; it opens its channel when first needed."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._channel: AbstractChannel | None = None

    async def publish(self, events: Sequence[LoggedEvent]) -> Sequence[str | None]:
        """Publish a window and wait for its confirms: per event None, or why it was refused.

        Raises BrokerUnavailable: nothing of the window counts as confirmed. When the broker was
        silent, the connection is closed.
        """
        if not events:
            return []
        channel = await self._open_channel()
        with translated("publishing events"):
            try:
                return await publish_window(channel, [event_message(event) for event in events])
            except TimeoutError as error:
                self._channel = None
                await self._give_up(error)
                raise

    async def _open_channel(self) -> AbstractChannel:
        if await self._broker.blocked():
            raise BrokerUnavailable(BLOCKED)
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._broker.channel(confirms=True)
        return self._channel

    async def _give_up(self, error: TimeoutError) -> None:
        """A blocked broker will confirm later; a silent one is left."""
        if await self._broker.blocked():
            raise BrokerUnavailable(BLOCKED) from error
        await self._broker.close()
