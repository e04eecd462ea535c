"""Takes in what the store says of its products, and has waiting orders decided again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from adapters.postgres import catalog as product_store
from adapters.postgres.database import Tx
from adapters.postgres.events import append
from statemachine.events import stock_event
from statemachine.model import CatalogId, ProductId, ProductUpdate
from statemachine.stock import Reservation, Restocked, restock


async def upsert_products(
    tx: Tx, catalog: CatalogId, updates: Sequence[ProductUpdate], now: datetime
) -> int:
    """Store a batch of products; returns how many changed.

    A product named twice in one batch takes both, in order.
    """
    changed = 0
    for batch in _distinct(updates):
        changed += await _upsert(tx, catalog, batch, now)
    return changed


def _distinct(updates: Iterable[ProductUpdate]) -> list[dict[ProductId, ProductUpdate]]:
    """No product twice in a batch, none that the first has not: it locks all, in order."""
    batches: list[dict[ProductId, ProductUpdate]] = []
    before: Counter[ProductId] = Counter()
    for update in updates:
        if before[update.id] == len(batches):
            batches.append({})
        batches[before[update.id]][update.id] = update
        before[update.id] += 1
    return batches


async def _upsert(
    tx: Tx, catalog: CatalogId, updates: dict[ProductId, ProductUpdate], now: datetime
) -> int:
    counted = all(update.only_counts for update in updates.values())
    products = await product_store.lock(tx, catalog, updates.keys(), only_counted=counted)
    reservations: dict[ProductId, list[Reservation]] = {}
    for held in await product_store.live_reservations(tx, catalog, updates.keys()):
        reservations.setdefault(held.product_id, []).append(held)
    restocked: list[Restocked] = []
    for product_id, update in sorted(updates.items()):
        known = products.get(product_id)
        held_here = reservations.get(product_id, [])
        result = restock(catalog, known, update, held_here, now)
        if result is not None:
            restocked.append(result)
    replaced = [reservation for result in restocked for reservation in result.replaced]
    await product_store.write(tx, [result.product for result in restocked], replaced, now, products)
    moved = [result for result in restocked if result.delta]
    await append(tx, [stock_event(r.product, r.delta, "catalog", now) for r in moved])
    return len(restocked)
