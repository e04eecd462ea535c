"""What each marketplace account is to be told of the stock, one row per product: the last counts.

Marked in the transaction that moves the stock; the number itself is read when it is sent, so a
product that moved ten times is told once. `version` keeps what is marked during a call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from asyncpg import Record

from adapters.postgres import rows
from adapters.postgres.events import notify
from adapters.postgres.queries import load
from statemachine.model import CatalogId, ConnectionId, Product, ProductId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("stock_pushes")
TOPIC = "stock"


@dataclass(frozen=True, slots=True)
class DuePush:
    """A product to tell of, as it stands now."""

    product: Product
    reference: str | None  # products_reference, as the account's orders show it
    version: int
    attempts: int  # failed before


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one product: the units that were taken, or why not."""

    push: DuePush
    sent: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """How a product stands at one connection, for people; `due_at` None: nothing waits."""

    connection: ConnectionId
    product_id: ProductId
    sent: int | None
    error: str | None
    pushed_at: datetime | None
    due_at: datetime | None
    attempts: int


async def mark(
    tx: "Tx",
    products: Sequence[tuple[CatalogId, ProductId]],
    references: Mapping[ProductId, str] | None = None,
    shown_by: ConnectionId | None = None,
) -> None:
    """Those of the products whose availability moved are to be told, where stock is pushed.

    The caller holds the products' rows. `references`: products_reference, as orders of the
    connection `shown_by` show it.
    """
    if not products:
        return
    known = references or {}
    catalogs, ids = [catalog for catalog, _ in products], [product for _, product in products]
    shown = [known.get(product) for product in ids]
    if await tx.fetch(_SQL["mark"], catalogs, ids, shown, shown_by):
        await notify(tx, [TOPIC])


async def mark_all(tx: "Tx", connection: ConnectionId | None = None) -> dict[ConnectionId, int]:
    """Tell everything anew (reconciliation); how many products, per connection that pushes."""
    marked = await tx.fetch(_SQL["mark_all"], connection)
    if marked:
        await notify(tx, [TOPIC])
    return {row["connection"]: row["products"] for row in marked}


async def due(conn: "Conn") -> list[tuple[ConnectionId, str]]:
    """Connections with something to tell that are active, not suspended and not resting.

    Each with its site, whose server it shares with others; longest waiting first.
    """
    return [(row["id"], row["site"]) for row in await conn.fetch(_SQL["due"])]


async def batch(
    conn: "Conn", connection: ConnectionId, catalog: CatalogId, limit: int
) -> list[DuePush]:
    """What a connection has to tell now, longest waiting first."""
    found = await conn.fetch(_SQL["batch"], connection, catalog, limit)
    return [_due(row) for row in found]


def _due(row: Record) -> DuePush:
    values = dict(row)
    reference, version, attempts = map(values.pop, ("reference", "version", "attempts"))
    return DuePush(rows.product(values), reference, version, attempts)


async def settle(
    tx: "Tx", connection: ConnectionId, catalog: CatalogId, answers: Sequence[Answer]
) -> None:
    """Keep each product's answer; what moved meanwhile stays due."""
    await tx.execute(
        _SQL["settle"],
        connection,
        catalog,
        [answer.push.product.id for answer in answers],
        [answer.push.version for answer in answers],
        [answer.sent for answer in answers],
        [answer.error for answer in answers],
    )


async def postpone(
    tx: "Tx",
    connection: ConnectionId,
    catalog: CatalogId,
    pushes: Sequence[DuePush],
    due_at: datetime,
    error: str,
) -> None:
    """The call failed as a whole: try these again then, unless they moved meanwhile."""
    ids, versions = [push.product.id for push in pushes], [push.version for push in pushes]
    await tx.execute(_SQL["postpone"], connection, catalog, ids, versions, due_at, error)


async def told(conn: "Conn", catalog: CatalogId, ids: Sequence[ProductId]) -> list[Told]:
    """How these products stand at every connection that pushes, or did."""
    return [Told(**row) for row in await conn.fetch(_SQL["told"], catalog, list(ids))]


async def pending(conn: "Conn") -> dict[ConnectionId, int]:
    """How many products wait to be told, per connection that pushes."""
    return {row["connection"]: row["products"] for row in await conn.fetch(_SQL["pending"])}
