"""Orders that cannot be read: kept with their XML and the reason, retried when they change."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from adapters.postgres import paging
from adapters.postgres.paging import Page, decode, page_of
from adapters.postgres.queries import load
from statemachine.model import ConnectionId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("quarantine")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An order nobody could read; `order_id` is `unreadable-HASH` where even that is unknown."""

    connection: ConnectionId
    order_id: str
    xml: bytes
    error: str
    first_seen_at: datetime
    last_seen_at: datetime


async def put(
    tx: "Tx",
    connection: ConnectionId,
    key: str,
    fingerprint: bytes,
    xml: bytes,
    error: str,
    now: datetime,
    read_from: datetime | None = None,
) -> datetime | None:
    """Keep it; since when it is there if that is news, None for the same XML and error again.

    `read_from`: from when on the look that found it read everything.
    """
    since: datetime | None = await tx.fetchval(
        _SQL["put"], connection, key, fingerprint, xml, error, now, read_from
    )
    return since


async def remove(tx: "Tx", connection: ConnectionId, keys: Collection[str]) -> None:
    """They could be read after all."""
    await tx.execute(_SQL["remove"], connection, list(keys))


async def remove_gone(
    conn: "Conn",
    connection: ConnectionId,
    prefix: str,
    found: Collection[str],
    *,
    read_from: datetime,
    read_at: datetime,
) -> None:
    """A whole look from `read_from` on, begun at `read_at`, found these alone of that prefix.

    The others, which show no id, would stay for ever: read under their own id they are others.
    """
    await conn.execute(_SQL["remove_gone"], connection, prefix, list(found), read_from, read_at)


async def page(
    conn: "Conn",
    *,
    connection: ConnectionId | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Quarantined]:
    """By connection and id. Raises BadCursor."""
    after = decode(cursor, paging.text, paging.text)
    rows = await conn.fetch(_SQL["page"], connection, *after, limit + 1)
    found = [Quarantined(**row) for row in rows]
    return page_of(found, limit, lambda entry: (entry.connection, entry.order_id))


async def get(conn: "Conn", key: str, connection: ConnectionId | None = None) -> list[Quarantined]:
    """The entries with this id: at most one a connection."""
    return [Quarantined(**row) for row in await conn.fetch(_SQL["get"], key, connection)]


async def reopen(tx: "Tx", connection: ConnectionId, key: str) -> bool:
    """Have it read again when it is next seen; False when it is not in quarantine."""
    return await tx.fetchval(_SQL["reopen"], connection, key) is not None


async def counts(conn: "Conn") -> dict[ConnectionId, int]:
    """How many orders each connection has in quarantine."""
    return {row["connection"]: row["orders"] for row in await conn.fetch(_SQL["counts"])}
