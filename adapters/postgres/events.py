"""The event log: written inside a step, read by the relay and by those who follow along."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from asyncpg import Record
from uuid_utils.compat import uuid7

from adapters.ports import LoggedEvent
from adapters.postgres.codec import dump
from adapters.postgres.queries import load
from adapters.trace import traceparent_of
from statemachine.changes import Event, EventType
from statemachine.model import CatalogId, ConnectionId, OrderId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("events")


async def append(tx: "Tx", events: Sequence[Event]) -> None:
    """Log the events in this order, each with its id and the next sequence of its subject."""
    if not events:
        return
    sequences = await _sequences(tx, events)
    await tx.execute(
        _SQL["append"],
        [uuid7() for _ in events],
        [event.type for event in events],
        [event.source for event in events],
        [event.subject for event in events],
        sequences,
        [event.time for event in events],
        [dump(event.data) for event in events],
        [event.connection for event in events],
        [event.order_id for event in events],
        [event.catalog for event in events],
        [traceparent_of(event.order_id) for event in events],
    )
    await notify(tx, ["events"])


async def _sequences(tx: "Tx", events: Sequence[Event]) -> list[int]:
    """One number per event; subjects are locked in sorted order, so writers never deadlock."""
    wanted = Counter((event.source, event.subject) for event in events)
    keys = sorted(wanted)
    rows = await tx.fetch(
        _SQL["advance_subjects"],
        [source for source, _ in keys],
        [subject for _, subject in keys],
        [wanted[key] for key in keys],
    )
    last = {(row["source"], row["subject"]): row["sequence"] for row in rows}
    following = {key: last[key] - wanted[key] for key in keys}
    numbers = []
    for event in events:
        following[event.source, event.subject] += 1
        numbers.append(following[event.source, event.subject])
    return numbers


async def notify(tx: "Tx", topics: Collection[str]) -> None:
    """Wake the waiters of these topics once the transaction is committed."""
    await tx.execute(_SQL["notify"], list(topics))


async def after(
    conn: "Conn",
    position: int,
    limit: int,
    *,
    type: EventType | None = None,  # noqa: A002 - the event's own word
    connection: ConnectionId | None = None,
    order_id: OrderId | None = None,
) -> list[LoggedEvent]:
    """The events after a position, oldest first."""
    if order_id is not None:
        rows = await conn.fetch(_SQL["after_of_order"], position, limit, type, connection, order_id)
    elif type is not None or connection is not None:
        rows = await conn.fetch(_SQL["after_filtered"], position, limit, type, connection)
    else:
        rows = await conn.fetch(_SQL["after"], position, limit)
    return [_logged(row) for row in rows]


async def newest(
    conn: "Conn",
    before: int | None,
    limit: int,
    *,
    subject: str | None = None,
    catalogs: Collection[CatalogId] = (),
) -> list[LoggedEvent]:
    """The log backwards; of one subject: order, return, connection, or product of `catalogs`."""
    if subject is None:
        rows = await conn.fetch(_SQL["newest"], before, limit)
    else:
        wanted = (subject, before, limit, list(catalogs))
        rows = await conn.fetch(_SQL["newest_of_subject"], *wanted)
    return [_logged(row) for row in rows]


async def at(conn: "Conn", positions: Collection[int]) -> list[LoggedEvent]:
    """The events at these positions, oldest first; positions that hold none are left out."""
    return [_logged(row) for row in await conn.fetch(_SQL["at"], list(positions))]


async def newest_position(conn: "Conn") -> int:
    """The last position there is to see; earlier ones may still be committed."""
    position: int = await conn.fetchval(_SQL["newest_position"])
    return position


async def relay_position(conn: "Conn") -> int:
    """Every event up to here is published."""
    position: int = await conn.fetchval(_SQL["relay_position"])
    return position


async def advance(tx: "Tx", position: int, role_epoch: int | None) -> bool:
    """Every event up to `position` is published; False when the lease went to another relay."""
    return await tx.fetchval(_SQL["advance"], position, role_epoch) is not None


async def next_transaction(conn: "Conn") -> int:
    """Once `oldest_running` reaches it, gaps seen before can fill no more.

    `append` writes before it takes positions, so who took those of a gap has a lower number.
    """
    number: int = await conn.fetchval(_SQL["next_transaction"])
    return number


async def oldest_running(conn: "Conn") -> int:
    """Every transaction with a lower number than this is over."""
    number: int = await conn.fetchval(_SQL["oldest_running"])
    return number


async def backlog(conn: "Conn") -> tuple[int, datetime | None]:
    """How many events wait for the broker (over 10,000 an upper bound), and since when."""
    row = await conn.fetchrow(_SQL["backlog"])
    assert row is not None  # noqa: S101 - the relay has one row
    return row["waiting"], row["oldest"]


def _logged(row: Record) -> LoggedEvent:
    values = dict(row)
    return LoggedEvent(**{**values, "type": EventType(values["type"])})
