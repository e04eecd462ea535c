"""Returns: locked, read, and every change of a step written in one batch."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from asyncpg import Record
from pydantic import TypeAdapter

from adapters.ports import Label
from adapters.postgres import actions, events, paging
from adapters.postgres import counts as state_counts
from adapters.postgres.codec import dump, dump_optional
from adapters.postgres.paging import Page, decode, page_of
from adapters.postgres.queries import load
from statemachine.model import (
    ActionKind,
    ActionStatus,
    ConnectionId,
    MarketplaceReturn,
    OrderId,
    Problem,
    Return,
    ReturnId,
    ReturnState,
)
from statemachine.return_facts import ReturnChanges, ReturnTransition

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("returns")
_FACTS = TypeAdapter(MarketplaceReturn)
_PROBLEM = TypeAdapter(Problem)

IN_QUARANTINE = "return-"  # what the ids of returns begin with there


def quarantine_key(return_id: ReturnId) -> str:
    """Under which a return that cannot be read stands in quarantine, beside the orders."""
    return f"{IN_QUARANTINE}{return_id}"


async def lock(
    tx: "Tx", connection: ConnectionId, ids: Collection[ReturnId]
) -> dict[ReturnId, Return]:
    """Those of the returns that exist, ours until the transaction ends."""
    locked = await tx.fetch(_SQL["lock"], connection, list(ids))
    if not locked:
        return {}
    found = await tx.fetch(_SQL["read"], connection, [row["return_id"] for row in locked])
    return {returned.id: returned for returned in map(_return, found)}


async def record(
    tx: "Tx",
    connection: ConnectionId,
    changes: Sequence[ReturnChanges],
    fingerprints: Mapping[ReturnId, bytes],
) -> None:
    """Write all that these steps changed; the fingerprint stays where none is given.

    A return said to be created that exists already ends the transaction in Conflict.
    """
    touched = [change for change in changes if change.touched]
    if not touched:
        return
    await _write(tx, connection, touched, fingerprints)
    await _add_history(tx, connection, touched)
    await actions.store(tx, connection, [(change.returned.id, change) for change in touched])
    await _drop_sent_labels(tx, connection, touched)
    await events.append(tx, [event for change in touched for event in change.events])


async def _write(
    tx: "Tx",
    connection: ConnectionId,
    changes: Sequence[ReturnChanges],
    fingerprints: Mapping[ReturnId, bytes],
) -> None:
    for block, created in (("insert", True), ("update", False)):
        rows = sorted(
            _row(change.returned, fingerprints.get(change.returned.id))
            for change in changes
            if change.created is created
        )
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            await tx.execute(_SQL[block], connection, *columns)


def _row(returned: Return, fingerprint: bytes | None) -> tuple[Any, ...]:
    return (
        returned.id,
        returned.facts.order_id,
        returned.state,
        returned.facts.status,
        returned.facts.requested_at,
        fingerprint,
        dump(returned.facts),
        returned.label_link,
        returned.has_label,
        returned.label_digest,
        returned.touched_by,
        dump_optional(returned.problem),
        returned.first_seen_at,
        returned.changed_at,
    )


def _return(row: Record) -> Return:
    actions = {} if row["actions"] is None else orjson.loads(row["actions"])
    return Return(
        connection=ConnectionId(row["connection"]),
        facts=_FACTS.validate_json(row["facts"]),
        state=ReturnState(row["state"]),
        first_seen_at=row["first_seen_at"],
        changed_at=row["changed_at"],
        label_link=row["label_link"],
        has_label=row["has_label"],
        label_digest=row["label_digest"],
        touched_by=row["touched_by"],
        problem=row["problem"] and _PROBLEM.validate_json(row["problem"]),
        actions={ActionKind(kind): ActionStatus(status) for kind, status in actions.items()},
    )


async def _add_history(
    tx: "Tx", connection: ConnectionId, changes: Sequence[ReturnChanges]
) -> None:
    moves = [
        (change.returned.id, move.from_state, move.to_state, move.trigger, move.by, move.at)
        for change in changes
        for move in change.history
    ]
    if moves:
        columns = [list(column) for column in zip(*moves, strict=True)]
        await tx.execute(_SQL["add_history"], connection, *columns)


async def _drop_sent_labels(
    tx: "Tx", connection: ConnectionId, changes: Sequence[ReturnChanges]
) -> None:
    sent = [
        change.returned.id
        for change in changes
        if change.settled.get(ActionKind.RETURN_LABEL) == ActionStatus.DONE
    ]
    if sent:
        await tx.execute(_SQL["drop_labels"], connection, sent)


async def keep_label(tx: "Tx", connection: ConnectionId, return_id: ReturnId, label: Label) -> None:
    """Store a label until it is sent, in place of one that was not."""
    await tx.execute(_SQL["keep_label"], connection, return_id, label.link, label.pdf)


async def label(conn: "Conn", connection: ConnectionId, return_id: ReturnId) -> Label | None:
    """The label to be sent."""
    row = await conn.fetchrow(_SQL["label"], connection, return_id)
    return None if row is None else Label(row["link"], row["pdf"])


async def fingerprints(
    conn: "Conn", connection: ConnectionId, ids: Collection[ReturnId]
) -> dict[ReturnId, bytes]:
    """What was last read of these returns, in quarantine or not; what is unchanged is skipped."""
    keys = [quarantine_key(return_id) for return_id in ids]
    found = await conn.fetch(_SQL["fingerprints"], connection, list(ids), keys)
    return {row["return_id"]: row["fingerprint"] for row in found}


async def keep_fingerprints(
    tx: "Tx", connection: ConnectionId, fingerprints: Mapping[ReturnId, bytes]
) -> None:
    """The XML of these returns differs, its meaning does not."""
    ids = sorted(fingerprints)
    if ids:
        values = [fingerprints[return_id] for return_id in ids]
        await tx.execute(_SQL["keep_fingerprints"], connection, ids, values)


async def find(
    conn: "Conn", return_id: ReturnId, connection: ConnectionId | None = None
) -> list[Return]:
    """The returns with this id: at most one a connection."""
    return [_return(row) for row in await conn.fetch(_SQL["find"], return_id, connection)]


async def of_order(conn: "Conn", connection: ConnectionId, order_id: OrderId) -> list[Return]:
    """Every return of one order, oldest first."""
    return [_return(row) for row in await conn.fetch(_SQL["of_order"], connection, order_id)]


async def page(
    conn: "Conn",
    *,
    connection: ConnectionId | None = None,
    state: ReturnState | None = None,
    order_id: str | None = None,
    attention: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Return]:
    """Returns, newest first; `attention`: with a problem. Raises BadCursor."""
    after = decode(cursor, paging.moment, paging.text, paging.text)
    wanted = (connection, state, order_id, attention, *after, limit + 1)
    returns = [_return(row) for row in await conn.fetch(_SQL["page"], *wanted)]
    return page_of(returns, limit, lambda r: (r.facts.requested_at, r.id, r.connection))


async def history(
    conn: "Conn", connection: ConnectionId, return_id: ReturnId
) -> list[ReturnTransition]:
    """Every move of one return, oldest first."""
    return [
        ReturnTransition(
            from_state=row["from_state"] and ReturnState(row["from_state"]),
            to_state=ReturnState(row["to_state"]),
            trigger=row["trigger"],
            by=row["requested_by"],
            at=row["at"],
        )
        for row in await conn.fetch(_SQL["history"], connection, return_id)
    ]


async def counts(conn: "Conn") -> dict[tuple[ConnectionId, ReturnState], int]:
    """How many returns stand where."""
    found = await state_counts.by_state(conn, "returns")
    return {(connection, ReturnState(state)): n for (connection, state), n in found.items()}
