"""Console sessions that were ended before their time: a copied cookie is worth nothing then."""

from datetime import datetime
from typing import TYPE_CHECKING

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("console_sessions")


async def end(conn: "Conn", session: str, until: datetime) -> None:
    """End it; kept until it would have ended by itself."""
    await conn.execute(_SQL["forget"])
    await conn.execute(_SQL["end"], session, until)


async def ended(conn: "Conn", session: str) -> bool:
    """True when somebody logged it out."""
    return await conn.fetchval(_SQL["ended"], session) is not None
