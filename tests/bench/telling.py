"""Commands put into the queue as fast as the broker takes them."""

import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from pamqp.commands import Basic

from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.topology import COMMANDS
from adapters.rabbitmq.window import PERSISTENT, Message, publish_window

WINDOW = 500


def command_message(command: str, order_id: str, **fields: Any) -> Message:
    """A command about an order of the connection `shop`; `id` may be given."""
    body = {
        "command": command,
        "id": f"{command} {order_id}",
        "by": "bench",
        "connection": "shop",
        "order_id": order_id,
    } | fields
    return _message(body)


def sync_message() -> Message:
    """Have the connection `shop` looked at now."""
    body = {"command": "connection.sync", "id": uuid4().hex, "by": "bench", "connection": "shop"}
    return _message(body)


async def tell(amqp_url: str, commands: Sequence[tuple[str, Message]]) -> dict[str, float]:
    """Publish all of them as fast as the broker takes them; when each order's first one left."""
    told: dict[str, float] = {}
    broker = Broker(amqp_url)
    await broker.connect()
    channel = await broker.channel(confirms=True)
    for start in range(0, len(commands), WINDOW):
        window = commands[start : start + WINDOW]
        for order_id, _ in window:
            told.setdefault(order_id, time.time())
        assert not any(await publish_window(channel, [message for _, message in window]))
    await broker.close()
    return told


def _message(body: dict[str, Any]) -> Message:
    return Message(
        exchange="",
        routing_key=COMMANDS,
        properties=Basic.Properties(message_id=body["id"], delivery_mode=PERSISTENT),
        body=json.dumps(body).encode(),
    )
