"""When each connection is looked at, and how it went."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from adapters.postgres.events import notify
from adapters.postgres.queries import load
from statemachine.model import ConnectionId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("looks")


class Look(StrEnum):
    """The ways to look at a marketplace account (product page, "Polling")."""

    FRESH = "fresh"
    OPEN = "open"
    DEEP = "deep"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Room:
    """How many looks may be taken: in all, at one site, and of those whose last one failed.

    `at_sites`: how many are under way at each site already.
    """

    places: int
    at_a_site: int
    at_sites: Mapping[str, int]
    failing: int


@dataclass(frozen=True, slots=True)
class ClaimedLook:
    """A look that is ours while `heartbeat` or `finish` find its epoch."""

    connection: ConnectionId
    look: Look
    cursor: datetime | None
    since: datetime | None  # backfill only
    epoch: int
    failures: int  # in a row, before this one
    due_at: datetime
    site: str = ""  # whose server it shares with others


@dataclass(frozen=True, slots=True)
class LookState:
    """How a look stands, for people."""

    connection: ConnectionId
    look: Look
    due_at: datetime | None
    cursor: datetime | None
    since: datetime | None
    held_until: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    succeeded_at: datetime | None
    error: str | None
    failures: int
    summary: str | None


async def start(tx: "Tx", connection: ConnectionId, deep_look_interval: timedelta) -> None:
    """Begin (or begin again) to look at a connection now."""
    await tx.execute(_SQL["start"], connection, deep_look_interval)
    await notify(tx, ["looks"])


async def claim_due(
    tx: "Tx",
    holder: str,
    hold: timedelta,
    room: Room,
    but: Collection[ConnectionId] = (),
) -> list[ClaimedLook]:
    """Take looks that are due, of connections that are active and not suspended, `but` for these.

    Longest due first, within the room there is.
    """
    rows = await tx.fetch(
        _SQL["claim_due"],
        holder,
        hold,
        room.places,
        room.at_a_site,
        list(room.at_sites),
        list(room.at_sites.values()),
        room.failing,
        list(but),
    )
    return [ClaimedLook(**{**row, "look": Look(row["look"])}) for row in rows]


async def come_back(conn: "Conn", hold: timedelta) -> None:
    """The clock was set back: nothing is due, or held, further ahead than it can be."""
    await conn.execute(_SQL["come_back"], hold)


async def heartbeat(
    conn: "Conn", holder: str, hold: timedelta, in_hand: Collection[tuple[ConnectionId, Look]]
) -> set[tuple[ConnectionId, Look]]:
    """Keep the looks we are making for another while; those still ours."""
    of = [connection for connection, _ in in_hand]
    rows = await conn.fetch(_SQL["heartbeat"], holder, hold, of, [look for _, look in in_hand])
    return {(row["connection"], Look(row["look"])) for row in rows}


async def finish(
    tx: "Tx",
    look: ClaimedLook,
    *,
    due_at: datetime | None,
    cursor: datetime | None = None,
    error: str | None = None,
    summary: str | None = None,
) -> bool:
    """The look is over; without `cursor` that stays. False when another took it over.

    A request that came while it ran stays due.
    """
    kept = await tx.fetchval(
        _SQL["finish"], look.connection, look.look, look.epoch, due_at, cursor, error, summary
    )
    return kept is not None


async def release(conn: "Conn", holder: str) -> None:
    """Let others take at once what we hold (shutdown)."""
    await conn.execute(_SQL["release"], holder)
    await notify(conn, ["looks"])


async def request(tx: "Tx", connection: ConnectionId, since: datetime | None = None) -> bool:
    """Look now, or from a date; False when the connection was never activated."""
    if since is None:
        asked = await tx.fetchval(_SQL["request_fresh"], connection)
    else:
        asked = await tx.fetchval(_SQL["request_backfill"], connection, since)
    await notify(tx, ["looks"])
    return asked is not None


async def next_due(conn: "Conn") -> datetime | None:
    """When the next look is due that nobody holds; in the past when one waits."""
    due_at: datetime | None = await conn.fetchval(_SQL["next_due"])
    return due_at


async def state(conn: "Conn", *connections: ConnectionId) -> list[LookState]:
    """How the looks of these connections, without any of all, stand."""
    rows = await conn.fetch(_SQL["state"], list(connections))
    return [LookState(**{**row, "look": Look(row["look"])}) for row in rows]


async def last_successes(conn: "Conn") -> dict[ConnectionId, datetime | None]:
    """When each active connection was last looked at with success; None where it never was."""
    rows = await conn.fetch(_SQL["last_successes"])
    return {ConnectionId(row["connection"]): row["succeeded_at"] for row in rows}
