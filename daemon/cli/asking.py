"""Asking for something as the command queue would: the same desk, the same rules, told in words."""

import getpass
import os
from collections.abc import Sequence
from uuid import uuid4

import orjson

from adapters.postgres import connections, leases
from adapters.postgres import orders as order_store
from adapters.postgres.connections import Connection
from adapters.postgres.database import Conn
from daemon.cli.command import Invocation
from daemon.cli.output import note, print_json
from daemon.commands import Reply
from daemon.wiring import Parts
from statemachine.facts import Refused
from statemachine.model import ConnectionId, Order, OrderId

NO_DAEMON = "no daemon works on this database now; it is done once one runs (spartoo-sync run)"


def command_id() -> str:
    """An id that no other command has."""
    return str(uuid4())


def asked_by() -> str:
    """The person at this machine, as history and actions name them."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return f"cli:{os.getuid()}"


async def daemon_runs(parts: Parts) -> bool:
    """True while some daemon works on this database."""
    async with parts.database.connection() as conn:
        return await leases.holder_of(conn, "relay") is not None


async def tell(invocation: Invocation, parts: Parts, reply: Reply, done: str, queued: str) -> None:
    """Show the reply, in the words for its outcome. Raises Refused."""
    document = orjson.loads(reply.body)
    if reply.status == "refused":
        raise Refused(**document["error"])
    if invocation.as_json:
        print_json(document)
    else:
        note(queued if reply.status == "queued" else done)
    if reply.status == "queued" and not await daemon_runs(parts):
        note(NO_DAEMON)


async def known_connection(conn: Conn, connection: str) -> Connection:
    """The connection. Raises UnknownConnection."""
    return await connections.get(conn, ConnectionId(connection))


async def find_order(conn: Conn, names: Sequence[str]) -> Order:
    """The order named `ORDER` or `CONNECTION ORDER`. Raises Refused: unknown or ambiguous."""
    order_id, connection = names[-1], names[0] if len(names) > 1 else None
    if connection is not None:
        await known_connection(conn, connection)
    found = await _find(conn, order_id, connection)
    if len(found) > 1:
        holders = " and ".join(order.connection for order in found)
        raise Refused(
            "ambiguous_order",
            f"{holders} both hold an order {order_id}; name the connection before the order",
        )
    if not found:
        who = f"connection {connection} has no" if connection else "no connection has an"
        fetch = f"spartoo-sync orders fetch {connection or 'CONNECTION'} {order_id}"
        message = f"{who} order {order_id}; `{fetch}` reads it from Spartoo"
        raise Refused("unknown_order", message)
    return found[0]


async def _find(conn: Conn, order_id: str, connection: str | None) -> list[Order]:
    """By the id as it was typed, else in capitals, as the marketplace writes it."""
    wanted = ConnectionId(connection) if connection else None
    found = await order_store.find(conn, OrderId(order_id), wanted)
    return found or await order_store.find(conn, OrderId(order_id.upper()), wanted)
