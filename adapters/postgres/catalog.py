"""Products and their stock: what decisions are measured against."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from adapters.postgres import paging, reservations, rows, stock_pushes
from adapters.postgres.codec import dump
from adapters.postgres.events import notify
from adapters.postgres.paging import Page, decode, page_of
from adapters.postgres.queries import load
from adapters.postgres.words import name_query
from statemachine.model import CatalogId, ConnectionId, OrderId, Product, ProductId
from statemachine.stock import Reservation

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("catalog")
_BLOCK = {"sku": "ids_by_sku", "ean": "ids_by_ean"}

live_reservations = reservations.live


async def matching(
    tx: "Tx",
    catalog: CatalogId,
    attribute: str,
    values: Collection[str],
    ids: Collection[ProductId],
    *,
    lock: bool,
) -> list[Product]:
    """Products identified by one of the values, or with one of the ids.

    `lock`: they are ours, and nobody adds or changes products, until the transaction ends.
    """
    if lock:
        await tx.execute(_SQL["lock_catalog_for_orders"], catalog)
    meant = {*values, *ids} if attribute == "id" else {*ids}
    if attribute != "id" and values:
        block = _SQL[_BLOCK.get(attribute, "ids_by_attribute")]
        found = await tx.fetch(block, catalog, attribute, list(values))
        meant.update(row["id"] for row in found)
    if not meant:
        return []
    found = await tx.fetch(_SQL["lock" if lock else "read"], catalog, list(meant))
    wanted, named = set(values), set(ids)
    products = map(rows.product, found)
    return [p for p in products if p.id in named or p.identified_by(attribute) in wanted]


async def lock(
    tx: "Tx", catalog: CatalogId, ids: Collection[ProductId], *, only_counted: bool = False
) -> dict[ProductId, Product]:
    """Those of the products that exist, for `write`; no other writer of the catalogue meanwhile.

    `only_counted`: none but their stock will change. Where all exist (and they stay) their rows are
    enough, and orders that want others go on.
    """
    unknown = not only_counted or await tx.fetchval(_SQL["some_unknown"], catalog, list(ids))
    await tx.execute(_SQL["lock_catalog" if unknown else "lock_catalog_for_orders"], catalog)
    found = await tx.fetch(_SQL["lock"], catalog, list(ids))
    return {product.id: product for product in map(rows.product, found)}


async def write(
    tx: "Tx",
    products: Sequence[Product],
    replaced: Sequence[Reservation],
    now: datetime,
    before: Mapping[ProductId, Product] = MappingProxyType({}),
) -> None:
    """Store products that `lock` gave as `before`, and drop reservations their stock now includes.

    Orders that wait for these products, or for what named them before, are decided again.
    """
    if not products:
        return
    ordered = sorted(products, key=lambda product: (product.catalog, product.id))
    columns = [list(column) for column in zip(*map(_row, ordered), strict=True)]
    await tx.execute(_SQL["write"], *columns, now)
    if replaced:
        await reservations.replace(tx, replaced)
    former = [_former(before.get(product.id), product) for product in ordered]
    await tx.execute(_SQL["note_changes"], columns[0], columns[1], now, former)
    await stock_pushes.mark(tx, [(product.catalog, product.id) for product in ordered])
    await notify(tx, ["products"])


async def page(
    conn: "Conn",
    catalog: CatalogId,
    *,
    text: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Product]:
    """Products by id; `text`: start of an id, a SKU, an EAN, words of a name, the last begun.

    Raises BadCursor.
    """
    (after,) = decode(cursor, paging.text)
    if text is None or not text.strip():
        found = await conn.fetch(_SQL["page"], catalog, after, limit + 1)
    else:
        wanted = (text.strip(), name_query(text))
        found = await conn.fetch(_SQL["search"], catalog, after, limit + 1, *wanted)
    return page_of([rows.product(row) for row in found], limit, lambda product: (product.id,))


async def age(conn: "Conn") -> dict[CatalogId, datetime | None]:
    """The newest moment each catalogue's stock speaks of."""
    return {row["catalog"]: row["as_of"] for row in await conn.fetch(_SQL["age"])}


async def catalogs(conn: "Conn") -> list[CatalogId]:
    """Every catalogue that holds products or that a connection names."""
    return [row["catalog"] for row in await conn.fetch(_SQL["catalogs"])]


@dataclass(frozen=True, slots=True)
class ProductChange:
    """A product that changed; `former`: values that named it until then, as JSON."""

    catalog: CatalogId
    product_id: ProductId
    former: bytes | None = None


async def take_changes(tx: "Tx", limit: int) -> list[ProductChange]:
    """Products that changed, gone from the list with this transaction: decide again within it."""
    taken = await tx.fetch(_SQL["take_changes"], limit)
    return list(dict.fromkeys(ProductChange(**row) for row in taken))


async def still_taking(tx: "Tx") -> None:
    """Say so between two transactions that decide: the server ends what it takes for frozen."""
    await tx.execute(_SQL["still_taking"])


async def waiting_for(
    tx: "Tx", changes: Sequence[ProductChange]
) -> list[tuple[ConnectionId, OrderId]]:
    """Orders that wait for one of these products and are to be decided again, oldest first.

    Untouched by a person, of connections whose catalogue is the product's.
    """
    columns = ([c.catalog for c in changes], [c.product_id for c in changes])
    found = await tx.fetch(_SQL["waiting_for"], *columns, [c.former for c in changes])
    return [(row["connection"], row["order_id"]) for row in found]


def _former(before: Product | None, after: Product) -> bytes | None:
    """The values that named a product before and no longer do, if there are any."""
    if before is None:
        return None
    names = ("sku", "ean")
    given_up = {name: getattr(before, name) for name in names if _lost(before, after, name)}
    attributes = {
        name: value
        for name, value in before.attributes.items()
        if after.attributes.get(name) != value
    }
    if not given_up and not attributes:
        return None
    return dump({**given_up, "attributes": attributes})


def _lost(before: Product, after: Product, name: str) -> bool:
    return getattr(before, name) not in (None, getattr(after, name))


def _row(product: Product) -> tuple[object, ...]:
    return (
        product.catalog,
        product.id,
        product.sku,
        product.ean,
        product.name,
        product.stock,
        product.as_of,
        product.reserved,
        product.price_final_incl_tax,
        product.price_original_incl_tax,
        product.currency,
        dump(product.attributes),
    )
