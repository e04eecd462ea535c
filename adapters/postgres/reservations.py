"""Reserved units: rows per order and product, their sum on the product."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from asyncpg import Record

from adapters.postgres import stock_pushes
from adapters.postgres.queries import load
from statemachine.changes import Changes
from statemachine.connection import ConnectionSettings
from statemachine.model import CatalogId, ConnectionId, ProductId
from statemachine.stock import Reservation

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("reservations")


async def move(tx: "Tx", settings: ConnectionSettings, changes: Sequence[Changes]) -> bool:
    """Reserve and release what these steps say; True when some product became available again."""
    moves = [
        (change.order.id, product_id, delta, change.order.known_at, change.order.changed_at)
        for change in changes
        for product_id, delta in change.reserved.items()
        if delta
    ]
    freed = False
    if moves:
        moved = await _move(tx, settings, moves)
        freed = any(row["freed"] for row in moved)
        products = [(row["catalog"], row["product_id"]) for row in moved]
        await stock_pushes.mark(tx, products, _references(changes), ConnectionId(settings.id))
    await _know(tx, ConnectionId(settings.id), changes)
    return freed


def _references(changes: Sequence[Changes]) -> dict[ProductId, str]:
    """The products_reference of each product whose size these orders name beside it."""
    return {
        change.order.products[line.line]: line.reference
        for change in changes
        for line in change.order.facts.lines
        if line.line in change.order.products and line.size_reference and line.reference
    }


async def _move(
    tx: "Tx", settings: ConnectionSettings, moves: Sequence[tuple[Any, ...]]
) -> Sequence[Record]:
    orders, products, deltas, known, changed = (list(c) for c in zip(*moves, strict=True))
    await tx.execute(_SQL["lock_products"], settings.id, settings.catalog, orders, products)
    return await tx.fetch(
        _SQL["move"], settings.id, settings.catalog, orders, products, deltas, known, max(changed)
    )


async def _know(tx: "Tx", connection: ConnectionId, changes: Sequence[Changes]) -> None:
    """From `known_at` on the store's numbers include an order."""
    orders = [change.order for change in changes if change.order.reserved and not change.created]
    if orders:
        known = [order.known_at for order in orders]
        await tx.execute(_SQL["know"], connection, [order.id for order in orders], known)


async def live(conn: "Conn", catalog: CatalogId, ids: Collection[ProductId]) -> list[Reservation]:
    """What is reserved of these products, by order."""
    return [Reservation(**row) for row in await conn.fetch(_SQL["live"], catalog, list(ids))]


async def replace(tx: "Tx", replaced: Collection[Reservation]) -> None:
    """Drop reservations that the store's new number includes."""
    await tx.execute(
        _SQL["replace"],
        [reservation.order_id for reservation in replaced],
        [reservation.connection for reservation in replaced],
        [reservation.product_id for reservation in replaced],
    )
