"""Processes at work on this database: a frozen one's sessions are ended, and its locks with them.

Its holds run out by themselves, its transactions do not: a session that waits for the rest of a
statement is neither idle nor near its time-out. Who was slow and not dead has lost connections.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("processes")


async def heartbeat(conn: "Conn", holder: str, ttl: timedelta) -> None:
    """This process is alive for so long at least."""
    await conn.execute(_SQL["heartbeat"], holder, ttl)


async def leave(conn: "Conn", holder: str) -> None:
    """It ends its sessions itself (shutdown)."""
    await conn.execute(_SQL["leave"], holder)


async def end_silent(conn: "Conn", holder: str) -> dict[str, int]:
    """End the sessions of every other process that was not heard of; how many each had."""
    found = await conn.fetch(_SQL["end_silent"], holder)
    return {row["holder"]: row["sessions"] for row in found}
