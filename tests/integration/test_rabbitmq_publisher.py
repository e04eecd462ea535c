"""Events out: what arrives, what is refused, and what happens when the broker goes."""

import asyncio

import orjson
import pytest
from aio_pika.abc import AbstractIncomingMessage
from pamqp.common import FieldTable

from adapters.ports import BrokerUnavailable
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.publisher import AmqpPublisher
from adapters.rabbitmq.topology import EVENTS, ORDERS, UNROUTED, declare
from statemachine.changes import EventType
from tests.fixtures.events import logged_event


@pytest.fixture
async def publisher(broker: Broker) -> AmqpPublisher:
    await declare(broker)
    return AmqpPublisher(broker)


async def drain(broker: Broker, queue: str, count: int) -> list[AbstractIncomingMessage]:
    """The next `count` messages of a queue; fails when they do not come."""
    channel = await broker.channel()
    messages: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(20), (await channel.get_queue(queue)).iterator() as arriving:
        async for message in arriving:
            await message.ack()
            messages.append(message)
            if len(messages) == count:
                break
    return messages


async def test_an_event_arrives_as_the_interface_says(
    broker: Broker, publisher: AmqpPublisher
) -> None:
    event = logged_event(7, sequence=3, data=b'{"order":{"total":"64.99"}}')
    assert await publisher.publish([event]) == [None]

    (message,) = await drain(broker, ORDERS, 1)
    assert (message.exchange, message.routing_key) == (EVENTS, "order.accepted.shoes-fr")
    assert message.content_type == "application/cloudevents+json"
    assert message.message_id == str(event.id)
    assert (message.type, message.app_id) == ("order.accepted", "spartoo-sync")
    assert message.delivery_mode == 2
    assert message.timestamp == event.time
    assert message.headers == {
        "connection": "shoes-fr",
        "subject": "3FF75E96C3434E92",
        "sequence": 3,
    }
    assert orjson.loads(message.body)["data"] == {"order": {"total": "64.99"}}


async def test_stock_goes_by_its_catalogue(broker: Broker, publisher: AmqpPublisher) -> None:
    event = logged_event(kind=EventType.STOCK_CHANGED, subject="10001", catalog="winter")
    assert await publisher.publish([event]) == [None]
    (message,) = await drain(broker, ORDERS, 1)
    assert message.routing_key == "stock.changed.winter"
    assert message.headers["catalog"] == "winter"


async def test_a_window_keeps_its_order(broker: Broker, publisher: AmqpPublisher) -> None:
    events = [logged_event(number, subject=f"order-{number}") for number in range(500)]
    assert await publisher.publish(events) == [None] * 500
    messages = await drain(broker, ORDERS, 500)
    assert [message.message_id for message in messages] == [str(event.id) for event in events]


async def test_nothing_to_publish_is_nothing_confirmed(publisher: AmqpPublisher) -> None:
    assert await publisher.publish([]) == []


async def test_an_event_nobody_is_bound_for_is_kept(
    broker: Broker, publisher: AmqpPublisher
) -> None:
    channel = await broker.channel()
    await (await channel.get_queue(ORDERS)).unbind(EVENTS, "#")
    assert await publisher.publish([logged_event()]) == [None]
    (message,) = await drain(broker, UNROUTED, 1)
    assert message.routing_key == "order.accepted.shoes-fr"


async def test_a_returned_event_is_not_confirmed(broker: Broker, publisher: AmqpPublisher) -> None:
    """Without a queue behind the alternate exchange the broker has nowhere to keep it."""
    channel = await broker.channel()
    await channel.queue_delete(UNROUTED)
    await channel.queue_delete(ORDERS)
    await (await channel.declare_queue(exclusive=True)).bind(EVENTS, "stock.#")

    stock = logged_event(2, kind=EventType.STOCK_CHANGED, catalog="default")
    reasons = await publisher.publish([logged_event(1), stock, logged_event(3)])

    assert reasons == ["returned: NO_ROUTE", None, "returned: NO_ROUTE"]
    assert await publisher.publish([stock]) == [None]


async def test_a_full_queue_is_a_nack(broker: Broker, publisher: AmqpPublisher) -> None:
    channel = await broker.channel()
    full: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await (await channel.declare_queue(exclusive=True, arguments=full)).bind(EVENTS, "#")
    reasons = [(await publisher.publish([logged_event(number)]))[0] for number in range(4)]
    assert reasons[0] is None
    assert reasons[-1] == "nacked"


async def test_five_megabytes_arrive_whole(broker: Broker, publisher: AmqpPublisher) -> None:
    text = "é" * 2_500_000
    events = [logged_event(1, data=orjson.dumps(text)), logged_event(2, subject="other")]
    assert await publisher.publish(events) == [None, None]
    big, small = await drain(broker, ORDERS, 2)
    assert orjson.loads(big.body)["data"] == text
    assert small.message_id == str(events[1].id)


async def test_bodies_around_the_frame_size_arrive_whole(
    broker: Broker, publisher: AmqpPublisher
) -> None:
    sizes = range(131_072 - 600, 131_072 + 100, 50)
    events = [logged_event(size, data=orjson.dumps("x" * size)) for size in sizes]
    assert await publisher.publish(events) == [None] * len(events)
    messages = await drain(broker, ORDERS, len(events))
    assert [len(orjson.loads(message.body)["data"]) for message in messages] == list(sizes)


async def test_a_missing_exchange_confirms_nothing(broker: Broker) -> None:
    publisher = AmqpPublisher(broker)
    with pytest.raises(BrokerUnavailable, match=r"no exchange 'spartoo\.events'"):
        await publisher.publish([logged_event()])
    await declare(broker)
    assert await publisher.publish([logged_event()]) == [None]
