"""Calls per web service and hour, counted for all replicas together."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from adapters.postgres.queries import load
from statemachine.model import ConnectionId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("budget")


async def take(
    conn: "Conn",
    connection: ConnectionId,
    service: str,
    limit_per_hour: int,
    keep_free: int = 0,
    wanted: int = 1,
) -> tuple[int, datetime | None]:
    """Count as many of the `wanted` calls as may be made now; and, if not all, when others may.

    Room is what every hour up to now leaves of the limit, less `keep_free` for others; a resting
    service has none.
    """
    most = max(limit_per_hour - keep_free, 1)
    granted, again = 0, None
    async with conn.transaction():
        await conn.execute(_SQL["lock"], connection, service)
        while granted < wanted and again is None:  # once, unless an hour ends just now
            room: int = await conn.fetchval(_SQL["room"], connection, service, most)
            if room:
                await conn.execute(_SQL["count"], connection, service, min(room, wanted - granted))
                granted += min(room, wanted - granted)
            if granted < wanted:
                again = await conn.fetchval(_SQL["again_at"], connection, service, most)
    return granted, again


async def rest(conn: "Conn", connection: ConnectionId, service: str, first: timedelta) -> datetime:
    """The service had enough (-429): until when it rests.

    Each rest is twice the one before, up to an hour; after an hour without one it is `first`.
    """
    begun = await conn.fetchval(_SQL["rest"], connection, service, first)
    until: datetime = begun or await conn.fetchval(_SQL["resting_until"], connection, service)
    return until


async def remaining(
    conn: "Conn", connection: ConnectionId | None = None
) -> dict[tuple[ConnectionId, str], int]:
    """Calls left in this hour, of one connection or all, for the services that were called."""
    rows = await conn.fetch(_SQL["remaining"], connection)
    return {(row["connection"], row["service"]): row["remaining"] for row in rows}
