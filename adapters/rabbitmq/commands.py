"""Commands in: the queue `spartoo.commands`, its answers, and its dead letters.

Deliveries are taken from the channel below aio-pika's own: its message class forgets which
properties were set, and a dead letter needs them as they came.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import uuid4

import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from pamqp import encode
from pamqp.commands import Basic
from pamqp.common import FieldTable

from adapters.ports import BrokerUnavailable, CommandMessage
from adapters.rabbitmq.connection import Broker, translated
from adapters.rabbitmq.topology import COMMANDS, DEAD_COMMANDS
from adapters.rabbitmq.window import NACKED, PERSISTENT, Message, publish_window

log = structlog.get_logger(__name__)

PREFETCH = 64
CHANNEL_SECONDS = 10.0
TRIES, PAUSE_SECONDS = 10, 0.5  # of what is nacked; what has no queue would have none then either
SILENT_SECONDS = 60.0  # before a reply queue that confirmed nothing, twice, is tried again
UNANSWERED = (
    "reply_not_confirmed: the command was carried out, but the queue of its `reply_to` confirms"
    " nothing; send the command again, as it is, for the same reply"
)
ERROR_LENGTH = 1000  # headers share one frame
LARGEST_HEADERS = 124_000  # bytes; the frame has 131,072 for these and the other properties


class AmqpCommand:
    """A CommandMessage. Every method raises BrokerUnavailable; then the broker still has it."""

    def __init__(
        self,
        delivered: DeliveredMessage,
        replies: AbstractChannel,
        broker: Broker,
        suspects: dict[str, float],
    ) -> None:
        self._delivered = delivered
        self._broker = broker
        self._suspects = suspects
        self._properties = delivered.header.properties
        self._replies = replies

    @property
    def body(self) -> bytes:
        """The body as it came, whatever its length."""
        return self._delivered.body

    @property
    def message_id(self) -> str | None:
        """The AMQP property, None when not set."""
        return self._properties.message_id or None

    @property
    def wants_reply(self) -> bool:
        """True when `reply_to` is set."""
        return bool(self._properties.reply_to)

    async def answer(self, reply: bytes) -> None:
        """Send the JSON `reply` if one was asked for, then acknowledge.

        A reply its queue refuses is logged: the command is done all the same. When its queue goes
        on confirming nothing, the command is put aside: others would wait behind it for ever.
        """
        if await self._tell(reply):
            await self._acknowledge()
        else:
            await self.dead_letter(UNANSWERED)
            self._suspects[self._properties.reply_to or ""] = monotonic() + SILENT_SECONDS

    async def dead_letter(self, error: str, reply: bytes | None = None) -> None:
        """Move it to the dead-letter queue with header `x-error`, confirmed; then acknowledge.

        `reply` goes to the asker too, where one was asked for.
        """
        async with self._confirming():
            dead = dead_message(self._properties, self.body, error)
            refusal = await self._publish(dead, self._replies)
        if refusal is not None:
            await self._broker.close()
            raise BrokerUnavailable(f"{DEAD_COMMANDS} did not take a command: {refusal}")
        if reply is not None and not await self._tell(reply):
            self._log_refusal(UNANSWERED)
        await self._acknowledge()

    async def release(self) -> None:
        """Give it back to the queue."""
        with translated("giving a command back"):
            await self._delivered.channel.basic_nack(self._delivered.delivery_tag or 0)

    async def _tell(self, reply: bytes) -> bool:
        """Send the reply if one was asked for; False when its queue confirms nothing."""
        asker = self._properties.reply_to
        if not asker:
            return True
        if monotonic() < self._suspects.get(asker, 0):
            return False
        message = reply_message(self._properties, reply)
        async with self._confirming():
            if asker in self._suspects:
                return await self._tell_apart(asker, message)
            try:
                refusal = await self._publish(message, self._replies)
            except TimeoutError:  # as all that waits with it; RabbitMQ 3.10 may forget one at times
                self._suspects[asker] = 0
                raise
        self._log_refusal(refusal)
        return True

    async def _tell_apart(self, asker: str, message: Message) -> bool:
        """On a channel of its own: one queue that is silent keeps back all later confirms."""
        channel = await self._broker.channel(confirms=True)
        try:
            refusal = await self._publish(message, channel)
        except TimeoutError:
            return False
        finally:
            if not channel.is_closed:
                await channel.close()
        self._suspects.pop(asker, None)
        self._log_refusal(refusal)
        return True

    @asynccontextmanager
    async def _confirming(self) -> AsyncIterator[None]:
        """What is not confirmed in time ends the connection: the broker gives it out again."""
        with translated("answering a command"):
            try:
                yield
            except TimeoutError:
                if not self._replies.is_closed:
                    await self._broker.close()
                raise

    async def _publish(self, message: Message, channel: AbstractChannel) -> str | None:
        """Why it was refused; a queue without a leader refuses for a while, by nacks."""
        (refusal,) = await publish_window(channel, [message])
        for _ in range(TRIES):
            if refusal != NACKED:
                break
            await asyncio.sleep(PAUSE_SECONDS)
            (refusal,) = await publish_window(channel, [message])
        return refusal

    def _log_refusal(self, refusal: str | None) -> None:
        if refusal is not None:
            asker = self._properties.reply_to
            log.warning("reply not delivered", reply_to=asker, error=refusal)

    async def _acknowledge(self) -> None:
        with translated("acknowledging a command"):
            await self._delivered.channel.basic_ack(self._delivered.delivery_tag or 0)


class AmqpCommandSource:
    """A CommandSource on a connected Broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._suspects: dict[str, float] = {}  # did not confirm; not tried again before then
        self._channels: tuple[AbstractChannel, AbstractChannel] | None = None

    async def commands(self) -> AsyncGenerator[CommandMessage, None]:
        """Commands in the queue's order. Raises BrokerUnavailable, also when the queue is deleted.

        When it ends, commands not handed out go back; those handed out may still be answered.
        """
        consumer, replies = await self._open_channels()
        below = await consumer.get_underlay_channel()
        arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        below.closing.add_done_callback(lambda _: arrived.put_nowait(None))
        below.on_consumer_cancel_callbacks.add(lambda _: arrived.put_nowait(None))
        with translated(f"reading {COMMANDS}"):
            await below.basic_qos(prefetch_count=PREFETCH, timeout=CHANNEL_SECONDS)
            consuming = await below.basic_consume(COMMANDS, arrived.put, timeout=CHANNEL_SECONDS)
        try:
            while (delivered := await arrived.get()) is not None and not consumer.is_closed:
                yield AmqpCommand(delivered, replies, self._broker, self._suspects)
        finally:
            if not consumer.is_closed:
                await self._hand_back(consumer, consuming.consumer_tag or "", arrived)
        raise BrokerUnavailable(f"reading {COMMANDS}: RabbitMQ or the queue went away")

    async def _open_channels(self) -> tuple[AbstractChannel, AbstractChannel]:
        """Two new channels; closing old ones gives back what was never answered."""
        for channel in self._channels or ():
            if not channel.is_closed:
                with translated("closing a channel"):
                    async with asyncio.timeout(CHANNEL_SECONDS):
                        await channel.close()
        self._channels = (await self._broker.channel(), await self._broker.channel(confirms=True))
        return self._channels

    async def _hand_back(
        self, consumer: AbstractChannel, tag: str, arrived: asyncio.Queue[DeliveredMessage | None]
    ) -> None:
        with translated(f"leaving {COMMANDS}"):
            below = await consumer.get_underlay_channel()
            await below.basic_cancel(tag, timeout=CHANNEL_SECONDS)
            while not arrived.empty():
                delivered = arrived.get_nowait()
                if delivered is not None:
                    await below.basic_nack(delivered.delivery_tag or 0)


def reply_message(asked: Basic.Properties, reply: bytes) -> Message:
    """The answer to whoever asked; not mandatory, for the asker may be gone."""
    return Message(
        exchange="",
        routing_key=asked.reply_to or "",
        properties=Basic.Properties(
            content_type="application/json",
            correlation_id=asked.correlation_id,
            delivery_mode=PERSISTENT,
            message_id=uuid4().hex,
            app_id="spartoo-sync",
        ),
        body=reply,
        mandatory=False,
    )


def dead_message(came: Basic.Properties, body: bytes, error: str) -> Message:
    """The command unchanged, persistent, with its error.

    What would let it expire, be refused or be copied elsewhere (`expiration`, `user_id`, the
    header `CC`) moves to headers `x-expiration`, `x-user-id`, `x-cc`. Headers that fill their frame
    leave no room for the error and are dropped: the broker would cut the connection.
    """
    headers = dict(came.headers or {})
    moved: FieldTable = {"x-expiration": came.expiration, "x-user-id": came.user_id}
    moved["x-cc"] = headers.pop("CC", None)
    headers |= {name: value for name, value in moved.items() if value is not None}
    headers["x-error"] = error[:ERROR_LENGTH]
    if len(encode.field_table(headers)) > LARGEST_HEADERS:
        headers = {"x-error": headers["x-error"], "x-headers": "too large to be kept"}
    return Message(
        exchange="",
        routing_key=DEAD_COMMANDS,
        properties=Basic.Properties(
            content_type=came.content_type,
            content_encoding=came.content_encoding,
            headers=headers,
            delivery_mode=PERSISTENT,
            priority=came.priority,
            correlation_id=came.correlation_id,
            reply_to=came.reply_to,
            message_id=came.message_id or uuid4().hex,
            timestamp=came.timestamp,
            message_type=came.message_type,
            app_id=came.app_id,
        ),
        body=body,
    )
