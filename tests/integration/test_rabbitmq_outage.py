"""The broker killed, silent or out of memory in the middle of things."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from time import monotonic
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aio_pika import Message

from adapters.ports import BrokerUnavailable, LoggedEvent
from adapters.rabbitmq import commands, window
from adapters.rabbitmq.commands import SILENT_SECONDS, AmqpCommandSource
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.node import PrivateRabbitMQ
from adapters.rabbitmq.publisher import AmqpPublisher
from adapters.rabbitmq.topology import COMMANDS, DEAD_COMMANDS, ORDERS, QUORUM, declare
from tests.fixtures.events import logged_event
from tests.fixtures.postgres import eventually
from tests.integration.test_rabbitmq_commands import next_of, send, take

ALARM = "{resource_limit, memory, node()}"


@pytest.fixture
async def url(own_rabbitmq: PrivateRabbitMQ) -> str:
    """A virtual host of this test's own on the node that may be hurt."""
    return await own_rabbitmq.add_vhost(f"test-{uuid4().hex[:12]}")


@pytest.fixture
async def broker(url: str) -> AsyncIterator[Broker]:
    """Connected, everything declared."""
    broker = Broker(url)
    await broker.connect()
    await declare(broker)
    yield broker
    await broker.close()


async def until_unblocked(broker: Broker) -> None:
    for _ in range(1000):
        if not await broker.blocked():
            return
        await asyncio.sleep(0.01)
    pytest.fail("still blocked 10 s after the alarm")


async def stored_ids(broker: Broker) -> set[str | None]:
    """The ids of all messages in koongo.orders."""
    queue = await (await broker.channel()).get_queue(ORDERS)
    ids = set()
    while (message := await queue.get(fail=False)) is not None:
        ids.add(message.message_id)
    return ids


class Feed:
    """Publishes window after window until the broker goes."""

    def __init__(self, publisher: AmqpPublisher) -> None:
        self.publisher = publisher
        self.confirmed: list[LoggedEvent] = []
        self.window: list[LoggedEvent] = []
        self.running = asyncio.Event()

    async def run(self) -> None:
        numbers = count()
        while True:
            self.window = [logged_event(next(numbers)) for _ in range(100)]
            assert await self.publisher.publish(self.window) == [None] * 100
            self.confirmed += self.window
            self.running.set()


async def test_a_killed_broker_confirms_nothing_and_keeps_what_it_confirmed(
    own_rabbitmq: PrivateRabbitMQ, broker: Broker
) -> None:
    feed = Feed(AmqpPublisher(broker))
    publishing = asyncio.create_task(feed.run())
    async with asyncio.timeout(20):
        await feed.running.wait()
    await own_rabbitmq.kill()
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(20):
            await publishing
    with pytest.raises(BrokerUnavailable):
        await feed.publisher.publish(feed.window)

    async def published() -> bool:  # refused, or never confirmed, while its queues recover
        with suppress(BrokerUnavailable):
            await broker.connect()
            return await feed.publisher.publish(feed.window) == [None] * 100
        return False

    await own_rabbitmq.start()
    await eventually(published, 60)
    assert {str(event.id) for event in feed.confirmed + feed.window} <= await stored_ids(broker)


async def test_a_killed_broker_ends_the_reading_of_commands(
    own_rabbitmq: PrivateRabbitMQ, broker: Broker
) -> None:
    channel = await broker.channel(confirms=True)
    await channel.default_exchange.publish(Message(b"{}"), COMMANDS)
    source = AmqpCommandSource(broker)
    commands = source.commands()
    command = await anext(commands)
    await own_rabbitmq.kill()
    try:
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(10):
                await anext(commands)
        with pytest.raises(BrokerUnavailable):
            await command.answer(b"{}")
        with pytest.raises(BrokerUnavailable, match="not connected"):
            await anext(source.commands())
    finally:
        await own_rabbitmq.start()


async def test_a_silent_broker_is_left(
    own_rabbitmq: PrivateRabbitMQ, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = AmqpPublisher(broker)
    await publisher.publish([logged_event(1)])
    monkeypatch.setattr(window, "CONFIRM_SECONDS", 0.3)
    os.killpg(own_rabbitmq.group, signal.SIGSTOP)
    try:
        with pytest.raises(BrokerUnavailable, match="did not answer in time"):
            await publisher.publish([logged_event(2)])
    finally:
        os.killpg(own_rabbitmq.group, signal.SIGCONT)
    assert broker.closed
    monkeypatch.undo()
    await broker.connect()
    assert await publisher.publish([logged_event(2)]) == [None]


async def test_a_memory_alarm_stops_publishing_until_it_is_over(
    own_rabbitmq: PrivateRabbitMQ, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = AmqpPublisher(broker)
    monkeypatch.setattr(window, "CONFIRM_SECONDS", 1)
    await own_rabbitmq.evaluate(f"rabbit_alarm:set_alarm({{{ALARM}, []}}).")
    try:
        for number in (1, 2):
            with pytest.raises(BrokerUnavailable, match="memory or disk alarm"):
                await publisher.publish([logged_event(number)])
        assert not broker.closed
    finally:
        await own_rabbitmq.evaluate(f"rabbit_alarm:clear_alarm({ALARM}).")
    await until_unblocked(broker)
    assert await publisher.publish([logged_event(1), logged_event(2)]) == [None, None]


@asynccontextmanager
async def suspended(node: PrivateRabbitMQ, vhost: str, queue: str) -> AsyncIterator[None]:
    """The quorum queue takes everything and confirms nothing."""
    process = f"whereis('{vhost}_{queue}')"
    await node.evaluate(f"sys:suspend({process}).")
    try:
        yield
    finally:
        await node.evaluate(f"sys:resume({process}).")


async def test_a_reply_queue_that_confirms_nothing_holds_nobody_up(
    own_rabbitmq: PrivateRabbitMQ, url: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await broker.channel(confirms=True)
    silent = await channel.declare_queue("silent", durable=True, arguments=QUORUM)
    other = await channel.declare_queue(exclusive=True)
    reader = Broker(url)
    source = AmqpCommandSource(reader)
    question = Message(b"{}", reply_to=silent.name, correlation_id="question")

    async def answer(count: int, reply: bytes) -> list[BaseException | None]:
        await reader.connect()
        answers = (command.answer(reply) for command in await take(source, count))
        return await asyncio.gather(*answers, return_exceptions=True)

    async def put_aside() -> str:
        dead = await next_of(channel, DEAD_COMMANDS)
        assert (dead.body, dead.reply_to) == (question.body, silent.name)
        return str(dead.headers["x-error"])

    await send(channel, question, Message(b"{}", reply_to=other.name))
    async with suspended(own_rabbitmq, urlsplit(url).path[1:], silent.name):
        monkeypatch.setattr(window, "CONFIRM_SECONDS", 3)
        lost = await answer(2, b"on one channel")
        assert [type(error) for error in lost] == [BrokerUnavailable] * 2
        assert await answer(2, b"each on its own") == [None, None]
        assert (await put_aside()).startswith("reply_not_confirmed: the command was carried out")
        monkeypatch.setattr(window, "CONFIRM_SECONDS", 60)
        await send(channel, question)
        async with asyncio.timeout(30):  # it is not tried again for now
            assert await answer(1, b"not sent") == [None]
        await put_aside()
    monkeypatch.setattr(commands, "monotonic", lambda: monotonic() + SILENT_SECONDS)
    await send(channel, question)
    assert await answer(1, b"at last") == [None]
    await reader.close()
    for queue, last in ((silent, b"at last"), (other, b"each on its own")):
        replies = []
        while (reply := await queue.get(no_ack=True, fail=False)) is not None:
            replies.append(reply.body)
        assert replies[-1] == last
