"""What passed between an order and the outside: calls to the marketplace, commands, events.

Commands and events are read where they are kept; only calls have a table of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from adapters.postgres.queries import load
from statemachine.model import ConnectionId, OrderId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("communications")


@dataclass(frozen=True, slots=True)
class OrderCall:
    """A call about one order; `summary` holds no personal data and no key."""

    connection: ConnectionId
    order_id: OrderId
    service: str
    result: str
    summary: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Communication:
    """One entry of an order's communications."""

    at: datetime
    direction: Literal["in", "out"]
    kind: Literal["call", "command", "event"]
    name: str
    result: str
    summary: str


async def add(conn: "Conn", calls: Sequence[OrderCall]) -> None:
    """Keep calls."""
    if not calls:
        return
    await conn.execute(
        _SQL["add"],
        [call.connection for call in calls],
        [call.order_id for call in calls],
        [call.service for call in calls],
        [call.result for call in calls],
        [call.summary for call in calls],
        [call.at for call in calls],
    )


async def of_order(
    conn: "Conn", connection: ConnectionId, order_id: OrderId, limit: int
) -> list[Communication]:
    """The newest `limit` communications of an order, oldest first."""
    found = await conn.fetch(_SQL["of_order"], connection, order_id, limit)
    return [Communication(**row) for row in reversed(found)]
