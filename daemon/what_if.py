"""What if: the orders kept of a period, read page by page and decided again by the core."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from adapters.postgres import catalog as product_store
from adapters.postgres import kept_orders
from adapters.postgres.database import Conn
from statemachine.connection import ConnectionSettings
from statemachine.decision import ACCEPT, HOLD
from statemachine.events import decision_document
from statemachine.model import CatalogId, ConnectionId, Product, ProductId
from statemachine.what_if import NOTES, KeptOrder, Outcomes, Supposed, WhatIf, needs_catalogue

Period = tuple[datetime | None, datetime | None]


async def what_if(
    conn: Conn,
    settings: ConnectionSettings,
    since: datetime | None,
    until: datetime | None,
    changes: Supposed,
    told: Callable[[WhatIf], None] | None = None,
) -> WhatIf:
    """What would have been decided on orders placed from `since` to before `until`.

    Prices, stock and settings as `statemachine.what_if` says. Changes nothing: each page is a
    read-only transaction of its own, so that a long period holds up neither vacuum nor the relay.
    `told` is given the counts so far after each page.
    """
    found = WhatIf(ZoneInfo(settings.timezone), changes)
    other_price = changes.price_attribute is not None
    after: KeptOrder | None = None
    while True:
        async with conn.transaction(readonly=True):
            orders = await kept_orders.page(
                conn, ConnectionId(settings.id), since, until, after, with_prices=other_price
            )
            products = await _products(conn, settings, orders, changes)
        if not orders:
            return found
        for order in orders:
            found.take(order, products)
        after = orders[-1]
        if told is not None:
            told(found)


async def _products(
    conn: Conn, settings: ConnectionSettings, orders: Iterable[KeptOrder], changes: Supposed
) -> Mapping[ProductId, Product]:
    """The products as they are now, of those orders that are measured by them."""
    wanted = {
        product_id
        for order in orders
        if order.decision is not None and needs_catalogue(order.decision, changes)
        for product_id in order.products.values()
    }
    catalog, attribute = CatalogId(settings.catalog), settings.product_id_attribute
    products = await product_store.matching(conn, catalog, attribute, (), wanted, lock=False)
    return {product.id: product for product in products}


def what_if_document(found: WhatIf, connection: str, period: Period) -> dict[str, Any]:
    """The answer as `orders what-if --json` and the API give it."""
    since, until = period
    return {
        "connection": connection,
        "since": since,
        "until": until,
        "supposed": found.supposed.model_dump(mode="json"),
        "orders": found.orders,
        "undecided": found.undecided,
        "decided": found.outcomes.decided,
        **_outcomes(found.outcomes),
        "differ": found.differ,
        "newly_accepted": found.newly_accepted,
        "newly_held": found.newly_held,
        "newly_accepted_by_state": found.newly_accepted_by_state,
        "at_present_prices": found.at_present_prices,
        "by_reason": {
            reason: {"was": count.was, "would_be": count.would_be}
            for reason, count in sorted(found.by_reason.items())
        },
        "by_day": [
            {"day": day, "decided": outcomes.decided, **_outcomes(outcomes)}
            for day, outcomes in sorted(found.by_day.items())
        ],
        "differing": [
            {
                "order_id": one.order_id,
                "purchased_at": one.purchased_at,
                "state": one.state,
                "was": decision_document(one.was),
                "would_be": decision_document(one.would_be),
            }
            for one in found.differing
        ],
        "notes": NOTES,
    }


def _outcomes(outcomes: Outcomes) -> dict[str, dict[str, int]]:
    was, would_be = outcomes.accepted, outcomes.would_accept
    return {
        "was": {ACCEPT: was, HOLD: outcomes.decided - was},
        "would_be": {ACCEPT: would_be, HOLD: outcomes.decided - would_be},
    }
