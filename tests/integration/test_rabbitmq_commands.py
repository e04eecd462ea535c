"""Commands in: order, answers, dead letters, and what is given back."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable
from pamqp.header import ContentHeader
from structlog.testing import capture_logs

from adapters.ports import BrokerUnavailable, CommandMessage
from adapters.rabbitmq.commands import AmqpCommandSource, dead_message
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.tolerance import accept_malformed_properties
from adapters.rabbitmq.topology import COMMANDS, DEAD_COMMANDS, declare
from tests.fixtures.postgres import eventually


@pytest.fixture
async def asker(broker: Broker) -> AbstractChannel:
    """A channel of whoever sends commands; everything is declared."""
    await declare(broker)
    return await broker.channel(confirms=True)


@pytest.fixture
async def source(amqp_url: str, asker: AbstractChannel) -> AsyncIterator[AmqpCommandSource]:
    reader = Broker(amqp_url)
    await reader.connect()
    yield AmqpCommandSource(reader)
    await reader.close()


async def send(channel: AbstractChannel, *messages: Message) -> None:
    for message in messages:
        await channel.default_exchange.publish(message, COMMANDS)


async def take(source: AmqpCommandSource, count: int) -> list[CommandMessage]:
    """The next commands, unanswered; the reading ends with them."""
    taken: list[CommandMessage] = []
    async with asyncio.timeout(20), aclosing(source.commands()) as commands:
        async for command in commands:
            taken.append(command)
            if len(taken) == count:
                break
    return taken


async def next_of(channel: AbstractChannel, queue: str) -> AbstractIncomingMessage:
    async with asyncio.timeout(10):
        async with (await channel.get_queue(queue)).iterator() as arriving:
            message = await anext(arriving)
            await message.ack()
    return message


async def left_in(channel: AbstractChannel, queue: str) -> list[bytes]:
    bodies = []
    declared = await channel.get_queue(queue)
    while (message := await declared.get(no_ack=True, fail=False)) is not None:
        bodies.append(message.body)
    return bodies


async def comes_back(channel: AbstractChannel, *bodies: bytes) -> None:
    """What was given back is there again, in this order; nothing confirms the giving back."""
    found: list[bytes] = []

    async def all_there() -> bool:
        found.extend(await left_in(channel, COMMANDS))
        return len(found) >= len(bodies)

    await eventually(all_there)
    assert found == list(bodies)


async def reply_queue(channel: AbstractChannel) -> str:
    return (await channel.declare_queue(exclusive=True)).name


async def test_commands_come_in_order_and_answered_ones_are_gone(
    amqp_url: str, asker: AbstractChannel
) -> None:
    bodies = [b"%d" % number for number in range(200)]
    await send(asker, *map(Message, bodies))
    reader = Broker(amqp_url)
    await reader.connect()
    read = []
    async with asyncio.timeout(20), aclosing(AmqpCommandSource(reader).commands()) as commands:
        async for command in commands:
            read.append(command.body)
            await command.answer(b"nobody asked")
            if len(read) == len(bodies):
                break
    await reader.close()
    assert read == bodies
    assert await left_in(asker, COMMANDS) == []


async def test_what_was_not_handed_out_goes_back_in_order(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    await send(asker, *(Message(b"%d" % number) for number in range(5)))
    (first,) = await take(source, 1)
    await first.answer(b"{}")
    await comes_back(asker, b"1", b"2", b"3", b"4")


async def test_an_answer_goes_to_the_asker(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    replies = await reply_queue(asker)
    await send(
        asker, Message(b"{}", reply_to=replies, correlation_id="question-1", message_id="m-1")
    )
    (command,) = await take(source, 1)
    assert (command.message_id, command.wants_reply) == ("m-1", True)
    await command.answer(b'{"status":"done"}')
    reply = await next_of(asker, replies)
    assert (reply.body, reply.correlation_id) == (b'{"status":"done"}', "question-1")
    assert reply.content_type == "application/json"


async def test_an_answer_by_direct_reply_to(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    direct = await asker.get_queue("amq.rabbitmq.reply-to", ensure=False)
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    await direct.consume(arrived.put, no_ack=True)
    await send(asker, Message(b"{}", reply_to="amq.rabbitmq.reply-to", correlation_id="c"))
    (command,) = await take(source, 1)
    await command.answer(b'{"status":"queued"}')
    async with asyncio.timeout(10):
        reply = await arrived.get()
    assert (reply.body, reply.correlation_id) == (b'{"status":"queued"}', "c")


async def test_an_asker_who_is_gone_holds_nothing_up(
    amqp_url: str, asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    await send(asker, Message(b"{}", reply_to="nobody"), Message(b"next"))
    gone, following = await take(source, 2)
    await gone.answer(b"{}")
    await following.release()
    await comes_back(asker, b"next")


async def test_a_refused_reply_is_logged_and_the_command_done(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    full: FieldTable = {"x-max-length": 0, "x-overflow": "reject-publish"}
    asked = await asker.declare_queue(exclusive=True, arguments=full)
    await send(asker, Message(b"{}", reply_to=asked.name))
    (command,) = await take(source, 1)
    with capture_logs() as logs:
        await command.answer(b"{}")
    assert [(line["event"], line["error"]) for line in logs] == [("reply not delivered", "nacked")]


async def test_a_reply_refused_for_a_while_is_sent_again(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    one: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
    asked = await asker.declare_queue(exclusive=True, arguments=one)
    await asker.default_exchange.publish(Message(b"in the way"), asked.name)
    await send(asker, Message(b"{}", reply_to=asked.name))
    (command,) = await take(source, 1)
    answering = asyncio.create_task(command.answer(b"reply"))
    await asyncio.sleep(0.3)
    assert not answering.done()
    assert (await next_of(asker, asked.name)).body == b"in the way"
    await answering
    assert (await next_of(asker, asked.name)).body == b"reply"


async def test_a_dead_letter_is_the_same_message_with_its_error(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    at = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
    came = Message(
        b"\x00not json\xff",
        headers={"tenant": "a", "nested": {"n": 1}, "nothing": None},
        content_type="text/plain",
        content_encoding="latin-1",
        priority=3,
        correlation_id="c-1",
        reply_to="asker",
        message_id="m-1",
        timestamp=at,
        type="guess",
        app_id="shop",
    )
    await send(asker, came)
    (command,) = await take(source, 1)
    await command.dead_letter("bad_command: not JSON")

    dead = await next_of(asker, DEAD_COMMANDS)
    assert dead.body == came.body
    assert dead.headers == {**came.headers, "x-error": "bad_command: not JSON"}
    kept = came.properties
    kept.delivery_mode, kept.headers = 2, dead.headers
    assert dict(dead.properties) == dict(kept)
    assert await left_in(asker, COMMANDS) == []


async def test_a_dead_letter_does_not_expire_nor_spread(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    copies = await reply_queue(asker)
    await send(asker, Message(b"x", expiration=60, user_id="guest", headers={"CC": [copies]}))
    await next_of(asker, copies)
    (command,) = await take(source, 1)
    await command.dead_letter("bad_command: not JSON")

    dead = await next_of(asker, DEAD_COMMANDS)
    assert (dead.expiration, dead.user_id) == (None, None)
    assert dead.headers["x-expiration"] == "60000"
    assert dead.headers["x-user-id"] == "guest"
    assert dead.headers["x-cc"] == [copies]
    assert await left_in(asker, copies) == []


async def test_a_dead_letter_answers_the_asker_too(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    replies = await reply_queue(asker)
    await send(asker, Message(b"{", reply_to=replies, correlation_id="c-2"))
    (command,) = await take(source, 1)
    await command.dead_letter("bad_command: not JSON", b'{"status":"refused"}')
    assert (await next_of(asker, DEAD_COMMANDS)).headers["x-error"] == "bad_command: not JSON"
    assert (await next_of(asker, replies)).correlation_id == "c-2"


async def test_without_a_dead_letter_queue_the_command_stays(
    amqp_url: str, asker: AbstractChannel
) -> None:
    await asker.queue_delete(DEAD_COMMANDS)
    await send(asker, Message(b"odd"))
    reader = Broker(amqp_url)
    await reader.connect()
    (command,) = await take(AmqpCommandSource(reader), 1)
    with pytest.raises(BrokerUnavailable, match="returned: NO_ROUTE"):
        await command.dead_letter("bad_command: not JSON")
    await reader.close()
    await comes_back(asker, b"odd")


async def test_a_released_command_comes_again(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    await send(asker, Message(b"later"))
    (command,) = await take(source, 1)
    await command.release()
    (again,) = await take(source, 1)
    assert again.body == b"later"


async def test_a_command_over_the_limit_comes_whole(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    body = b"x" * 5_000_000
    await send(asker, Message(body))
    (command,) = await take(source, 1)
    assert command.body == body
    await command.dead_letter("payload_too_large: 5000000 bytes")
    assert (await next_of(asker, DEAD_COMMANDS)).body == body


class RawProperties(Basic.Properties):
    """Properties no client library would write: the marker in them becomes these bytes."""

    raw = b"\xff\xfe\xfd"

    def marshal(self) -> bytes:
        return super().marshal().replace(b"ODD", self.raw)


class RawTimestamp(Basic.Properties):
    """A timestamp in microseconds."""

    def marshal(self) -> bytes:
        return super().marshal()[:-8] + (1_763_000_000_000_000).to_bytes(8)


class RawHeaders(Basic.Properties):
    """Headers whose one value is these bytes, its type before them."""

    value = b""

    @classmethod
    def of(cls, value: bytes) -> "RawHeaders":
        made = cls(headers={"a": None})
        made.value = value
        return made

    def marshal(self) -> bytes:
        table = b"\x01a" + self.value
        return (self.flags["headers"]).to_bytes(2) + len(table).to_bytes(4) + table


def nested(depth: int) -> bytes:
    """Arrays in one another."""
    value = b""
    for _ in range(depth):
        value = b"A" + len(value).to_bytes(4) + value
    return value


ODD_PROPERTIES: dict[str, Basic.Properties] = {
    "text that is not UTF-8": RawProperties(correlation_id="ODD"),
    "a header name that is not UTF-8": RawProperties(headers={"ODD": "value"}),
    "a nested header name that is not UTF-8": RawProperties(headers={"a": {"ODD": 1}}),
    "a header's text that is not UTF-8": RawHeaders.of(b"S\0\0\0\x02\xff\xfe"),
    "a large double": RawHeaders.of(b"d" + struct.pack(">d", 1e300)),
    "a large decimal": RawHeaders.of(b"D\0\xff\xff\xff\xff"),
    "a header's timestamp in microseconds": RawHeaders.of(b"T" + (1 << 60).to_bytes(8)),
    "headers nested deeply": RawHeaders.of(nested(5000)),
    "headers that fill their frame": Basic.Properties(headers={"a": "x" * 131_000}),
    "a timestamp in microseconds": RawTimestamp(timestamp=datetime(2026, 1, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("odd", ODD_PROPERTIES.values(), ids=ODD_PROPERTIES.keys())
async def test_odd_properties_do_not_stop_the_reading(
    asker: AbstractChannel, source: AmqpCommandSource, odd: Basic.Properties
) -> None:
    below = await asker.get_underlay_channel()
    await below.basic_publish(b"odd", routing_key=COMMANDS, properties=odd)
    await send(asker, Message(b"next"))
    strange, following = await take(source, 2)
    assert (strange.body, following.body) == (b"odd", b"next")
    await strange.dead_letter("bad_command: not JSON")
    assert (await next_of(asker, DEAD_COMMANDS)).body == b"odd"


@pytest.mark.parametrize(
    "value", [b"d" + struct.pack(">d", 0.1), b"D\x02\0\0\0\x7b", b"S\0\0\0\x01\xff", nested(40)]
)
def test_headers_are_written_again_as_they_came(value: bytes) -> None:
    accept_malformed_properties()
    header = ContentHeader()
    header.unmarshal(b"\0\x3c\0\0" + bytes(8) + RawHeaders.of(value).marshal())
    assert isinstance(header.properties, Basic.Properties)
    assert value in dead_message(header.properties, b"", "bad_command").properties.marshal()


async def test_a_queue_deleted_while_reading_ends_the_reading(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    await send(asker, Message(b"first"))
    commands = source.commands()
    await (await anext(commands)).answer(b"")
    await asker.queue_delete(COMMANDS)
    with pytest.raises(BrokerUnavailable, match="the queue went away"):
        async with asyncio.timeout(10):
            await anext(commands)
    with pytest.raises(BrokerUnavailable, match=r"no queue 'spartoo\.commands'"):
        await anext(source.commands())


async def test_reading_anew_gives_back_what_was_never_answered(
    asker: AbstractChannel, source: AmqpCommandSource
) -> None:
    await send(asker, Message(b"forgotten"))
    await take(source, 1)
    (again,) = await take(source, 1)
    assert again.body == b"forgotten"


async def test_an_answer_after_the_connection_is_gone(
    amqp_url: str, asker: AbstractChannel
) -> None:
    reader = Broker(amqp_url)
    await reader.connect()
    await send(asker, Message(b"{}", reply_to="asker"), Message(b"{}"))
    commands = await take(AmqpCommandSource(reader), 2)
    await reader.close()
    for command in commands:
        for ending in (command.answer(b""), command.dead_letter("x"), command.release()):
            with pytest.raises(BrokerUnavailable):
                await ending
