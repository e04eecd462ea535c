"""Exchanges, queues and bindings: what is declared at start, and how it differs from what is there.

Nothing is ever deleted. What exists with other arguments is kept, and reported with its remedy.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelClosed
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity
from pamqp.common import FieldTable

from adapters.rabbitmq.connection import Broker, describe, translated

log = structlog.get_logger(__name__)

EVENTS = "spartoo.events"
UNROUTED = "spartoo.unrouted"
ORDERS = "koongo.orders"
COMMANDS = "spartoo.commands"
DEAD_COMMANDS = "spartoo.commands.dead"

DECLARE_SECONDS = 30.0
_POLICY = '{"delivery-limit": -1}'
QUORUM: FieldTable = {
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-dead-letter-strategy": "at-least-once",
}
DEAD_LETTERED: FieldTable = {
    **QUORUM,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_COMMANDS,
}
# Since 4.0 a quorum queue gives up on a message after 20 deliveries, and without a dead-letter
# exchange drops it: consumers that come and go must not lose events. Older ones know no limit.
UNLIMITED: FieldTable = {"x-delivery-limit": -1}
LIMITED_SINCE = 4


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on the broker that is not as declared; it was kept as it is."""

    thing: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Thing:
    name: str
    remedy: str
    declare: Callable[[AbstractChannel], Awaitable[object]]
    look: Callable[[AbstractChannel], Awaitable[object]] | None = None  # fails where it is not


@dataclass(frozen=True, slots=True)
class Inspected:
    """Exchanges and queues that are not there, and those that are not as declared."""

    missing: list[str]
    differences: list[Difference]


def _queue(name: str, arguments: FieldTable) -> _Thing:
    return _Thing(
        f"queue {name}",
        f"let its consumers empty it, delete it (rabbitmqctl delete_queue {name}, with -p for the"
        " virtual host) and restart the daemon, which declares it again; until then, on RabbitMQ 4,"
        f" `rabbitmqctl set_policy unlimited '^{re.escape(name)}$' '{_POLICY}' --apply-to queues`"
        " keeps it from giving up on messages",
        lambda channel: channel.declare_queue(name, durable=True, arguments=arguments),
        lambda channel: channel.declare_queue(name, passive=True),
    )


def _exchange(name: str, kind: str, arguments: FieldTable | None = None) -> _Thing:
    return _Thing(
        f"exchange {name}",
        f"stop the daemon, delete the exchange {name} (management page or rabbitmqadmin), start"
        " the daemon, which declares it anew, and bind your own queues to it again",
        lambda channel: channel.declare_exchange(name, kind, durable=True, arguments=arguments),
        lambda channel: channel.declare_exchange(name, passive=True),
    )


def _binding(queue: str, exchange: str, routing_key: str) -> _Thing:
    async def bind(channel: AbstractChannel) -> None:
        below = await channel.get_underlay_channel()
        await below.queue_bind(queue, exchange, routing_key)

    return _Thing(
        f"binding of queue {queue} to exchange {exchange}",
        "see to it that both exist and the daemon's user may bind them",
        bind,
    )


def _things(broker: Broker) -> tuple[_Thing, ...]:
    limit = UNLIMITED if broker.major_version >= LIMITED_SINCE else {}
    plain: FieldTable = {**QUORUM, **limit}
    return (
        _exchange(UNROUTED, "fanout"),
        _queue(UNROUTED, plain),
        _binding(UNROUTED, UNROUTED, ""),
        _exchange(EVENTS, "topic", {"alternate-exchange": UNROUTED}),
        _queue(ORDERS, plain),
        _binding(ORDERS, EVENTS, "#"),
        _queue(DEAD_COMMANDS, plain),
        _queue(COMMANDS, {**DEAD_LETTERED, **limit}),
    )


async def declare(broker: Broker) -> list[Difference]:
    """Declare everything; each difference is logged and returned. Raises BrokerUnavailable."""
    differences = []
    with translated("declaring exchanges and queues"):
        async with asyncio.timeout(DECLARE_SECONDS):
            for thing in _things(broker):
                difference = await _declare(broker, thing)
                if difference is not None:
                    differences.append(difference)
                    log.warning("topology differs", **_fields(difference))
    return differences


async def inspect(broker: Broker) -> Inspected:
    """What `declare` would find, nothing made; bindings cannot be seen. Raises BrokerUnavailable.

    Declaring what is there as it is changes nothing, and is refused where it is otherwise.
    """
    inspected = Inspected([], [])
    with translated("looking at exchanges and queues"):
        async with asyncio.timeout(DECLARE_SECONDS):
            for thing in _things(broker):
                if thing.look is None:
                    continue
                if await _is_there(broker, thing.look):
                    difference = await _declare(broker, thing)
                    inspected.differences.extend([difference] if difference else [])
                else:
                    inspected.missing.append(thing.name)
    return inspected


async def _is_there(broker: Broker, look: Callable[[AbstractChannel], Awaitable[object]]) -> bool:
    channel = await broker.channel()  # its own: a refusal closes it
    try:
        await look(channel)
    except ChannelNotFoundEntity:
        return False
    except ChannelClosed:
        return True  # there, but not for us to see: declaring tells why
    await channel.close()
    return True


async def _declare(broker: Broker, thing: _Thing) -> Difference | None:
    channel = await broker.channel()  # its own: a refusal closes it
    try:
        await thing.declare(channel)
    except ChannelAccessRefused as error:
        remedy = "give the daemon's user the permission to configure it (rabbitmqctl"
        return Difference(thing.name, describe(error), f"{remedy} set_permissions)")
    except ChannelClosed as error:
        return Difference(thing.name, describe(error), thing.remedy)
    await channel.close()
    return None


def _fields(difference: Difference) -> dict[str, str]:
    return {
        "thing": difference.thing,
        "error": difference.message,
        "kept": "as it is",
        "remedy": difference.remedy,
    }
