"""The database's clock."""

from datetime import datetime
from typing import TYPE_CHECKING

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("clock")


async def now(conn: "Conn") -> datetime:
    """What time it is there."""
    moment: datetime = await conn.fetchval(_SQL["now"])
    return moment
