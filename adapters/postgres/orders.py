"""Orders: locked, read, and every change of a step written in one batch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from adapters.postgres import actions, events, paging, reservations, rows, words
from adapters.postgres import counts as state_counts
from adapters.postgres.paging import Page, decode, page_of
from adapters.postgres.queries import load
from statemachine.changes import Changes, Transition
from statemachine.connection import ConnectionSettings
from statemachine.model import ConnectionId, Order, OrderId, OrderState

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("orders")

MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class WaitingOrders:
    """What waits for people; MOST_COUNTED stands for that many or more."""

    pending: int
    attention: int


async def lock(
    tx: "Tx", connection: ConnectionId, ids: Collection[OrderId]
) -> dict[OrderId, Order]:
    """Those of the orders that exist, ours until the transaction ends."""
    locked = await tx.fetch(_SQL["lock"], connection, list(ids))
    if not locked:
        return {}
    return await read(tx, connection, [row["order_id"] for row in locked])


async def lock_across(tx: "Tx", keys: Collection[tuple[OrderId, ConnectionId]]) -> None:
    """Orders of several connections, ours until the transaction ends: before anything else."""
    ids, connections = [order_id for order_id, _ in keys], [connection for _, connection in keys]
    await tx.execute(_SQL["lock_across"], ids, connections)


async def read(
    conn: "Conn", connection: ConnectionId, ids: Collection[OrderId]
) -> dict[OrderId, Order]:
    """Those of the orders that exist, as they stand."""
    found = await conn.fetch(_SQL["read"], connection, list(ids))
    return {order.id: order for order in map(rows.order, found)}


async def reserved_now(
    tx: "Tx", connection: ConnectionId, orders: Mapping[OrderId, Order]
) -> dict[OrderId, Order]:
    """These orders with what they hold at this moment, once their products are locked.

    A new stock number of the store may have replaced reservations since the orders were read.
    """
    holding = [order.id for order in orders.values() if order.reserved]
    if not holding:
        return dict(orders)
    found = {row["order_id"]: row for row in await tx.fetch(_SQL["reserved"], connection, holding)}
    return {
        order.id: rows.with_reserved(order, found.get(order.id)) if order.reserved else order
        for order in orders.values()
    }


async def note_published(
    tx: "Tx", connection: ConnectionId, ids: Collection[OrderId], now: datetime
) -> None:
    """The broker has the acceptance of these; a step that follows settings takes it in."""
    await tx.execute(_SQL["note_published"], connection, list(ids), now)


async def open_ids(
    conn: "Conn", connection: ConnectionId, after: OrderId | None, limit: int
) -> list[OrderId]:
    """Orders that wait, are on their way or are only recorded, by id, a page of them."""
    found = await conn.fetch(_SQL["open_ids"], connection, after or "", limit)
    return [row["order_id"] for row in found]


async def record(
    tx: "Tx",
    settings: ConnectionSettings,
    changes: Sequence[Changes],
    fingerprints: Mapping[OrderId, bytes],
) -> None:
    """Write all that these steps changed; the fingerprint stays where none is given.

    An order said to be created that exists already ends the transaction in Conflict.
    """
    touched = [change for change in changes if change.touched]
    if not touched:
        return
    connection = ConnectionId(settings.id)
    await _write(tx, connection, touched, fingerprints)
    await _add_history(tx, connection, touched)
    await actions.store(tx, connection, [(change.order.id, change) for change in touched])
    freed = await reservations.move(tx, settings, touched)
    await events.append(tx, [event for change in touched for event in change.events])
    if freed:
        await events.notify(tx, ["products"])


async def _write(
    tx: "Tx",
    connection: ConnectionId,
    changes: Sequence[Changes],
    fingerprints: Mapping[OrderId, bytes],
) -> None:
    for block, created in (("insert", True), ("update", False)):
        orders = sorted(
            (change.order for change in changes if change.created is created),
            key=lambda order: order.id,
        )
        if orders:
            prints = [fingerprints.get(order.id) for order in orders]
            await tx.execute(_SQL[block], connection, *rows.columns(orders, prints))


async def _add_history(tx: "Tx", connection: ConnectionId, changes: Sequence[Changes]) -> None:
    moves = [(change.order.id, move) for change in changes for move in change.history]
    if moves:
        await tx.execute(
            _SQL["add_history"],
            connection,
            [order_id for order_id, _ in moves],
            [move.from_state for _, move in moves],
            [move.to_state for _, move in moves],
            [move.trigger for _, move in moves],
            [move.by for _, move in moves],
            [move.reason for _, move in moves],
            [move.at for _, move in moves],
        )


async def fingerprints(
    conn: "Conn", connection: ConnectionId, ids: Collection[OrderId]
) -> dict[OrderId, bytes]:
    """What was last read of these orders, in quarantine or not; what is unchanged is skipped."""
    found = await conn.fetch(_SQL["fingerprints"], connection, list(ids))
    return {row["order_id"]: row["fingerprint"] for row in found}


async def keep_fingerprints(
    tx: "Tx", connection: ConnectionId, fingerprints: Mapping[OrderId, bytes]
) -> None:
    """The XML of these orders differs, its meaning does not."""
    ids = sorted(fingerprints)
    if ids:
        values = [fingerprints[order_id] for order_id in ids]
        await tx.execute(_SQL["keep_fingerprints"], connection, ids, values)


async def oldest_open(
    conn: "Conn", connection: ConnectionId, limit: int
) -> list[tuple[OrderId, datetime]]:
    """The oldest orders that can still change, and when each was placed."""
    found = await conn.fetch(_SQL["oldest_open"], connection, limit)
    return [(row["order_id"], row["purchased_at"]) for row in found]


async def shipping_services(conn: "Conn", connection: ConnectionId) -> tuple[str, ...]:
    """The shipping services that the connection's orders have named so far."""
    found = await conn.fetch(_SQL["shipping_services"], connection)
    return tuple(row["name"] for row in found)


async def find(
    conn: "Conn", order_id: OrderId, connection: ConnectionId | None = None
) -> list[Order]:
    """The orders with this id: at most one a connection."""
    return [rows.order(row) for row in await conn.fetch(_SQL["find"], order_id, connection)]


async def page(
    conn: "Conn",
    *,
    connection: ConnectionId | None = None,
    state: OrderState | None = None,
    text: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    attention: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Order]:
    """Orders placed from `since` to before `until`, newest first.

    `text` is the start of an order id, a store order id, a reference, or words of the customer's
    name, company or e-mail address, whatever case and accents; the last may be begun.
    `attention`: with a problem. Raises BadCursor.
    """
    after = decode(cursor, paging.moment, paging.text, paging.text)
    wanted = (connection, state, since, until, attention, *after, limit + 1)
    if text is None or not text.strip():
        found = await conn.fetch(_SQL["page"], *wanted)
    else:
        found = await conn.fetch(_SQL["search"], *wanted, words.query(text, connection))
    orders = [rows.order(row) for row in found]
    return page_of(orders, limit, lambda o: (o.facts.purchased_at, o.id, o.connection))


async def history(conn: "Conn", connection: ConnectionId, order_id: OrderId) -> list[Transition]:
    """Every move of one order, oldest first."""
    return [
        Transition(
            from_state=row["from_state"] and OrderState(row["from_state"]),
            to_state=OrderState(row["to_state"]),
            trigger=row["trigger"],
            by=row["requested_by"],
            at=row["at"],
            reason=row["reason"],
        )
        for row in await conn.fetch(_SQL["history"], connection, order_id)
    ]


async def counts(conn: "Conn") -> dict[tuple[ConnectionId, OrderState], int]:
    """How many orders stand where."""
    found = await state_counts.by_state(conn, "orders")
    return {(connection, OrderState(state)): n for (connection, state), n in found.items()}


async def placed_in_month(conn: "Conn", now: datetime) -> list[tuple[ConnectionId, bool, int]]:
    """Each connection, whether it is active, and its orders placed in the month of `now`."""
    found = await conn.fetch(_SQL["placed_in_month"], now)
    return [(row["connection"], row["active"], row["orders"]) for row in found]


async def oldest_pending(conn: "Conn") -> dict[ConnectionId, datetime]:
    """Per connection, when the order that waits longest for a person was first seen."""
    found = await conn.fetch(_SQL["oldest_pending"])
    return {row["connection"]: row["first_seen_at"] for row in found}


async def waiting(conn: "Conn") -> WaitingOrders:
    """How many orders wait for a person, and how many have a problem."""
    row = await conn.fetchrow(_SQL["waiting"], MOST_COUNTED)
    assert row is not None  # noqa: S101 - a select without from has one row
    return WaitingOrders(**row)


async def changed_at(conn: "Conn", connection: ConnectionId, order_id: OrderId) -> datetime | None:
    """When an order last moved; None when it is not there."""
    moved: datetime | None = await conn.fetchval(_SQL["changed_at"], connection, order_id)
    return moved
