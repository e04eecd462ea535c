"""One transaction per step: lock the orders, load their products, let the core decide, store all.

Lock order, everywhere: orders by id, then products by id (design, rule 5).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from adapters.loop import TimeSlice
from adapters.postgres import catalog as product_store
from adapters.postgres import orders as order_store
from adapters.postgres.database import Tx
from statemachine.changes import Changes
from statemachine.connection import ConnectionSettings
from statemachine.draft import Context
from statemachine.facts import Fact, Refused, Seen, ShipOrder, UnknownStatus, leaves_stock_alone
from statemachine.model import CatalogId, ConnectionId, MarketplaceOrder, Order, OrderId
from statemachine.step import first_sight, step
from statemachine.stock import Catalogue


class Overtaken(Exception):
    """It moved here while it was read, so the reading tells nothing. Read it again."""

    def __init__(self) -> None:
        super().__init__("it moved here while it was read; it is read again")


@dataclass(slots=True)
class Stepped:
    """What a batch of facts did; `unplaceable` orders were first seen in an unknown status.

    Of `refused` ones nothing is changed.
    """

    changes: list[Changes] = field(default_factory=list)
    unplaceable: dict[OrderId, UnknownStatus] = field(default_factory=dict)
    refused: dict[OrderId, Refused] = field(default_factory=dict)

    def check(self) -> None:
        """Raise the first refusal, where none can be."""
        for refused in self.refused.values():
            raise refused


async def take_steps(
    tx: Tx,
    settings: ConnectionSettings,
    facts: Mapping[OrderId, Fact],
    now: datetime,
    fingerprints: Mapping[OrderId, bytes] | None = None,
) -> Stepped:
    """Apply one fact to each order and store everything that follows, in the given transaction.

    An order keeps to the catalogue its units are reserved in, whatever the connection's is now.
    Raises Conflict when another process was first.
    """
    orders = await order_store.lock(tx, ConnectionId(settings.id), facts.keys())
    stepped = Stepped()
    for catalog, ids in sorted(_by_catalog(settings, orders, facts).items()):
        there = settings.model_copy(update={"catalog": catalog})
        of_these = {order_id: facts[order_id] for order_id in ids}
        known = {order_id: orders[order_id] for order_id in ids if order_id in orders}
        await _take(tx, there, known, of_these, now, stepped, fingerprints or {})
    places = {order_id: place for place, order_id in enumerate(facts)}
    stepped.changes.sort(key=lambda change: places[change.order.id])
    return stepped


def _by_catalog(
    settings: ConnectionSettings, orders: Mapping[OrderId, Order], facts: Iterable[OrderId]
) -> dict[str, list[OrderId]]:
    """The orders by the catalogue that each is stepped in."""
    found: dict[str, list[OrderId]] = {}
    for order_id in facts:
        order = orders.get(order_id)
        reserved_in = order.reserved_in if order else None
        found.setdefault(reserved_in or settings.catalog, []).append(order_id)
    return found


async def _take(
    tx: Tx,
    settings: ConnectionSettings,
    orders: Mapping[OrderId, Order],
    facts: Mapping[OrderId, Fact],
    now: datetime,
    stepped: Stepped,
    fingerprints: Mapping[OrderId, bytes],
) -> None:
    """The facts of orders that share a catalogue, added to what was stepped."""
    connection = ConnectionId(settings.id)
    catalogue = await _catalogue(tx, settings, orders.values(), facts.values())
    orders = await order_store.reserved_now(tx, connection, orders)
    services: tuple[str, ...] = ()
    if any(isinstance(fact, ShipOrder) for fact in facts.values()):
        services = await order_store.shipping_services(tx, connection)
    context = Context(settings, catalogue, now, services)
    taken, turn = [], TimeSlice()
    for order_id, fact in facts.items():
        if turn.is_over():
            await turn.rest()
        try:
            changes = _step(order_id, orders.get(order_id), fact, context)
        except UnknownStatus as unknown:
            stepped.unplaceable[order_id] = unknown
            continue
        except Refused as refused:
            stepped.refused[order_id] = refused
            continue
        catalogue.adjust(changes.reserved)
        taken.append(changes)
    await order_store.record(tx, settings, taken, fingerprints)
    stepped.changes += taken


def _step(order_id: OrderId, order: Order | None, fact: Fact, context: Context) -> Changes:
    if order is not None:
        return step(order, fact, context)
    if isinstance(fact, Seen):
        return first_sight(fact, context)
    connection = context.settings.id
    raise Refused(
        "unknown_order",
        f"connection {connection} has no order {order_id}; order.fetch reads it from Spartoo",
    )


async def _catalogue(
    tx: Tx,
    settings: ConnectionSettings,
    orders: Iterable[Order],
    facts: Iterable[Fact],
) -> Catalogue:
    """The products these orders may mean or hold, locked; none where stock cannot move."""
    attribute = settings.product_id_attribute
    facts = list(facts)
    if all(map(leaves_stock_alone, facts)):
        return Catalogue((), attribute)
    orders = list(orders)
    seen = [fact.order for fact in facts if isinstance(fact, Seen)]
    values = references([*seen, *(order.facts for order in orders)])
    ids = {p for order in orders for p in (*order.reserved, *order.products.values())}
    products = await product_store.matching(
        tx, CatalogId(settings.catalog), attribute, values, ids, lock=True
    )
    return Catalogue(products, attribute)


def references(orders: Sequence[MarketplaceOrder]) -> set[str]:
    """Every value in the orders' lines that identifies a product."""
    return {line.identifier for order in orders for line in order.lines if line.identifier}
