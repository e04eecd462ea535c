"""The database's clock."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from adapters.postgres import looks
from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("clock")


_HELD = ("leases_back", "processes_back", "actions_back")
_DUE = ("pushes_back", "rests_back", "calls_back", "orders_back", "returns_back")


async def come_back(conn: "Conn", hold: timedelta) -> None:
    """The clock was set back: moments that lie further ahead than they can are brought back.

    Each statement by itself: heartbeats must not wait until all orders are looked through. Done
    twice it changes nothing more.
    """
    await looks.come_back(conn, hold)
    for block in _HELD:
        await conn.execute(_SQL[block], hold)
    for block in _DUE:
        await conn.execute(_SQL[block])


async def now(conn: "Conn") -> datetime:
    """What time it is there."""
    moment: datetime = await conn.fetchval(_SQL["now"])
    return moment
