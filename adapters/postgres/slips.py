"""Delivery slips: asked for once, kept with the order."""

from datetime import datetime
from typing import TYPE_CHECKING

from adapters.postgres.queries import load
from statemachine.model import ConnectionId, OrderId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("slips")


async def find(conn: "Conn", connection: ConnectionId, order_id: OrderId) -> bytes | None:
    """The PDF; None when it was never asked for."""
    pdf: bytes | None = await conn.fetchval(_SQL["find"], connection, order_id)
    return pdf


async def keep(
    conn: "Conn", connection: ConnectionId, order_id: OrderId, pdf: bytes, fetched_at: datetime
) -> None:
    """Keep a PDF; one that is kept already stays."""
    await conn.execute(_SQL["keep"], connection, order_id, pdf, fetched_at)
