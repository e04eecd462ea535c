"""Notes by people, kept with an order and sent nowhere."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from adapters.postgres.queries import load
from statemachine.model import ConnectionId, OrderId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("comments")


@dataclass(frozen=True, slots=True)
class Comment:
    text: str
    written_by: str
    at: datetime


async def add(conn: "Conn", connection: ConnectionId, order_id: OrderId, comment: Comment) -> None:
    """Keep a note."""
    values = (connection, order_id, comment.text, comment.written_by, comment.at)
    await conn.execute(_SQL["add"], *values)


async def of_order(conn: "Conn", connection: ConnectionId, order_id: OrderId) -> list[Comment]:
    """Every note on one order, oldest first."""
    return [Comment(**row) for row in await conn.fetch(_SQL["of_order"], connection, order_id)]
