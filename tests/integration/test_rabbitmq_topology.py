"""What is declared, and what happens to what was there before."""

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelPreconditionFailed
from pamqp.common import FieldTable

from adapters.ports import BrokerUnavailable
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.topology import (
    COMMANDS,
    DEAD_COMMANDS,
    EVENTS,
    ORDERS,
    UNROUTED,
    declare,
)

QUEUES = (ORDERS, UNROUTED, COMMANDS, DEAD_COMMANDS)


async def exists(channel: AbstractChannel, queue: str) -> bool:
    return (await channel.get_queue(queue)).name == queue


async def test_declaring_twice_changes_and_reports_nothing(broker: Broker) -> None:
    assert await declare(broker) == []
    assert await declare(broker) == []
    channel = await broker.channel()
    assert [await exists(channel, queue) for queue in QUEUES] == [True] * 4


QUORUM = {
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-dead-letter-strategy": "at-least-once",
}
TO_DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD_COMMANDS}


@pytest.mark.parametrize("queue", QUEUES)
async def test_queues_have_the_arguments_of_the_interface(broker: Broker, queue: str) -> None:
    """RabbitMQ accepts the same arguments again, and refuses any other."""
    await declare(broker)
    arguments: FieldTable = {**QUORUM, **(TO_DEAD if queue == COMMANDS else {})}
    channel = await broker.channel()
    await channel.declare_queue(queue, durable=True, arguments=arguments)
    arguments["x-overflow"] = "drop-head"
    with pytest.raises(ChannelPreconditionFailed, match="x-overflow"):
        await channel.declare_queue(queue, durable=True, arguments=arguments)


async def test_the_brokers_version_is_known_once_connected(broker: Broker) -> None:
    """Which arguments the queues get hangs on it."""
    assert broker.major_version >= 3
    assert Broker("amqp://guest:guest@127.0.0.1/").major_version == 0


async def test_a_queue_with_other_arguments_is_reported_and_kept(broker: Broker) -> None:
    channel = await broker.channel(confirms=True)
    await channel.declare_queue(COMMANDS, durable=True)
    await channel.default_exchange.publish(aio_pika.Message(b"kept"), COMMANDS)

    (difference,) = await declare(broker)

    assert difference.thing == f"queue {COMMANDS}"
    assert "x-queue-type" in difference.message or "inequivalent arg" in difference.message
    assert f"rabbitmqctl delete_queue {COMMANDS}" in difference.remedy
    queue = await channel.get_queue(COMMANDS)
    message = await queue.get()
    assert message.body == b"kept"
    assert [await exists(channel, queue) for queue in QUEUES] == [True] * 4


async def test_an_exchange_of_another_kind_is_reported_and_the_rest_declared(
    broker: Broker,
) -> None:
    channel = await broker.channel()
    await channel.declare_exchange(EVENTS, "fanout", durable=True)

    (difference,) = await declare(broker)

    assert difference.thing == f"exchange {EVENTS}"
    assert "type" in difference.message
    assert "delete the exchange" in difference.remedy
    assert [await exists(channel, queue) for queue in QUEUES] == [True] * 4


async def test_a_lost_connection_is_said_so(broker: Broker) -> None:
    await broker.close()
    with pytest.raises(BrokerUnavailable, match="not connected"):
        await declare(broker)
