"""Intentions for the marketplace: claimed by one dispatcher at a time, settled once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import orjson
from asyncpg import Record

from adapters.postgres.codec import dump
from adapters.postgres.events import notify
from adapters.postgres.queries import load
from adapters.trace import traceparent, traceparent_of
from statemachine.changes import Action
from statemachine.model import ActionKind, ActionStatus, ConnectionId, OrderId, ReturnId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("actions")


@dataclass(frozen=True, slots=True)
class ClaimedAction:
    """An action that is ours until `held_until`; `unsure`: an earlier try may have arrived.

    `order_id` is a return's id where the kind is that of a return.
    """

    id: int
    connection: ConnectionId
    order_id: OrderId
    kind: ActionKind
    reason: str | None
    requested_by: str
    attempts: int  # this one included
    unsure: bool
    held_until: datetime
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action as it stands, for people."""

    id: int
    connection: ConnectionId
    order_id: OrderId
    kind: ActionKind
    reason: str | None
    requested_by: str
    status: ActionStatus
    attempts: int
    unsure: bool
    due_at: datetime
    held_until: datetime | None
    code: str
    message: str
    created_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many actions of one kind wait at a connection, and since when.

    None while the connection is halted.
    """

    connection: ConnectionId
    kind: ActionKind
    count: int
    oldest: datetime | None


class Step(Protocol):
    """What an order's or a return's step does to its actions."""

    @property
    def settled(self) -> Mapping[ActionKind, str]: ...

    @property
    def actions(self) -> Sequence[Action]: ...


async def store(tx: "Tx", connection: ConnectionId, steps: Iterable[tuple[str, Step]]) -> None:
    """Settle and queue the intentions of steps, each with the id of its order or return.

    What is superseded while another holds it is withdrawn: it stays held until its answer.
    """
    steps = list(steps)
    settled = [(id_, kind, status) for id_, step in steps for kind, status in step.settled.items()]
    queued = [
        (id_, a.kind, a.reason, a.by, traceparent_of(id_))
        for id_, step in steps
        for a in step.actions
    ]
    if settled:
        columns = [list(column) for column in zip(*settled, strict=True)]
        await tx.execute(_SQL["settle_of_orders"], connection, *columns)
    if queued:
        columns = [list(column) for column in zip(*queued, strict=True)]
        await tx.execute(_SQL["want_again"], connection, *columns[:-1])
        await tx.execute(_SQL["queue"], connection, *columns)
        await notify(tx, ["actions"])


async def claim(
    tx: "Tx",
    holder: str,
    hold: timedelta,
    per_connection: int,
    limit: int,
    but: Collection[ConnectionId] = (),
) -> list[ClaimedAction]:
    """Take actions that are due, at most `per_connection` held at each connection at a time.

    Left out: `but`, what another holds, disabled and suspended connections, resting services, those
    without calls left in this hour, and all but the first open action of an order (reading it again
    is free of that). Each counts as possibly sent from now on; `unsure` says whether that was so
    before.
    """
    found = await tx.fetch(_SQL["claim"], holder, hold, per_connection, limit, list(but))
    claimed = [ClaimedAction(**{**row, "kind": ActionKind(row["kind"])}) for row in found]
    return sorted(claimed, key=lambda action: action.id)


async def heartbeat(
    conn: "Conn", holder: str, hold: timedelta, in_hand: Collection[int]
) -> set[int]:
    """Keep the actions we work on for another while; those still ours."""
    return {row["id"] for row in await conn.fetch(_SQL["heartbeat"], holder, hold, [*in_hand])}


async def wanted(conn: "Conn", holder: str, ids: Collection[int]) -> set[int]:
    """Those of the actions that are still ours and not withdrawn."""
    return {row["id"] for row in await conn.fetch(_SQL["wanted"], holder, [*ids])}


async def settle(
    tx: "Tx", action_id: int, holder: str, status: ActionStatus, code: str, message: str
) -> bool:
    """It is over; False when it is no longer ours to say so."""
    return bool(await settle_all(tx, holder, [(action_id, status, code, message)]))


async def settle_all(
    tx: "Tx", holder: str, outcomes: Sequence[tuple[int, ActionStatus, str, str]]
) -> set[int]:
    """These are over, each with its code and message; those that were ours to settle."""
    found = await tx.fetch(
        _SQL["settle"],
        holder,
        [action_id for action_id, *_ in outcomes],
        [status for _, status, *_ in outcomes],
        [dump({"code": code, "message": message}) for *_, code, message in outcomes],
    )
    return {row["id"] for row in found}


async def postpone(
    tx: "Tx",
    action_id: int,
    holder: str,
    due_at: datetime,
    unsure: bool,  # noqa: FBT001 - what the caller must never leave out
    message: str,
) -> bool:
    """Try again later; `unsure`: a try may have arrived. False when it is no longer ours.

    A withdrawn action that cannot have arrived is superseded instead.
    """
    result = dump({"code": "postponed", "message": message})
    kept = await tx.fetchval(_SQL["postpone"], action_id, holder, due_at, unsure, result)
    return kept is not None


async def request_fetch(
    tx: "Tx", connection: ConnectionId, order_id: OrderId, requested_by: str
) -> int:
    """Have one order read again now; a second request joins one that waits. Its action's id."""
    action_id: int = await tx.fetchval(
        _SQL["request_fetch"], connection, order_id, requested_by, traceparent.get()
    )
    await notify(tx, ["actions"])
    return action_id


async def find(conn: "Conn", connection: ConnectionId, order_id: OrderId) -> list[StoredAction]:
    """Every action for one order, oldest first."""
    found = await conn.fetch(_SQL["find"], connection, order_id, False)
    return [_stored(row) for row in found]


async def find_of_return(
    conn: "Conn", connection: ConnectionId, return_id: ReturnId
) -> list[StoredAction]:
    """Every action for one return, oldest first; its id stands in `order_id`."""
    found = await conn.fetch(_SQL["find"], connection, return_id, True)
    return [_stored(row) for row in found]


async def fetch_outcome(conn: "Conn", connection: ConnectionId, order_id: OrderId) -> StoredAction:
    """The fetch that was requested for this order, as it stands now."""
    of_order = await find(conn, connection, order_id)
    return next(action for action in of_order if action.kind is ActionKind.FETCH)


async def pending(conn: "Conn") -> list[Waiting]:
    """What waits per connection and kind."""
    return [
        Waiting(row["connection"], ActionKind(row["kind"]), row["waiting"], row["oldest"])
        for row in await conn.fetch(_SQL["pending"])
    ]


def _stored(row: Record) -> StoredAction:
    values = dict(row)
    result = values.pop("result")
    code_and_message = {"code": "", "message": ""} if result is None else orjson.loads(result)
    kind, status = ActionKind(values.pop("kind")), ActionStatus(values.pop("status"))
    return StoredAction(**values, **code_and_message, kind=kind, status=status)
