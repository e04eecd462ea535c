"""Roles that one process has at a time, by lease; epochs fence off those who lost theirs."""

from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("leases")


async def hold(conn: "Conn", role: str, holder: str, ttl: timedelta) -> int | None:
    """Take the role or keep it; the epoch, or None while another has it."""
    epoch: int | None = await conn.fetchval(_SQL["hold"], role, holder, ttl)
    return epoch


async def release(conn: "Conn", holder: str) -> None:
    """Give up every role, so that others need not wait (shutdown)."""
    await conn.execute(_SQL["release"], holder)


async def holder_of(conn: "Conn", role: str) -> str | None:
    """Who has the role now."""
    holder: str | None = await conn.fetchval(_SQL["holder_of"], role)
    return holder
