"""What is kept of many orders' decisions, read in pages without their customers' data."""

from datetime import datetime
from typing import TYPE_CHECKING

from adapters.postgres import rows
from adapters.postgres.queries import load
from statemachine.model import ConnectionId
from statemachine.what_if import KeptOrder

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

PAGE = 500

_SQL = load("kept_orders")


async def page(
    conn: "Conn",
    connection: ConnectionId,
    since: datetime | None,
    until: datetime | None,
    after: KeptOrder | None,
    *,
    with_prices: bool,
) -> list[KeptOrder]:
    """The PAGE orders placed in the period that come after one, newest first; none at the end."""
    last = (after.purchased_at, after.order_id) if after else (None, None)
    found = await conn.fetch(_SQL["page"], connection, since, until, *last, with_prices, PAGE)
    return [rows.kept_order(row) for row in found]
