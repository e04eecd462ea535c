"""Orders as rows: columns for what is searched, JSON for the rest; products out of rows."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
from asyncpg import Record
from pydantic import TypeAdapter

from adapters.postgres.codec import dump, dump_optional
from adapters.postgres.words import order_words
from statemachine.model import (
    ActionKind,
    ActionStatus,
    ConnectionId,
    Decision,
    Line,
    MarketplaceOrder,
    Order,
    OrderState,
    Problem,
    Product,
    ProductId,
    Shipment,
    ShippedItem,
)
from statemachine.what_if import KeptOrder

_FACTS = TypeAdapter(MarketplaceOrder)
_DECISION = TypeAdapter(Decision)
_PROBLEM = TypeAdapter(Problem)
_SHIPMENTS = TypeAdapter(tuple[Shipment, ...])
_ITEMS = TypeAdapter(tuple[ShippedItem, ...])
_PRODUCTS = TypeAdapter(dict[int, ProductId])
_PRICES = TypeAdapter(dict[int, Decimal])


def columns(orders: Iterable[Order], fingerprints: Iterable[bytes | None]) -> list[list[Any]]:
    """The arguments of the blocks `insert` and `update`, a list per column."""
    rows = [_row(*pair) for pair in zip(orders, fingerprints, strict=True)]
    return [list(column) for column in zip(*rows, strict=True)]


def _row(order: Order, fingerprint: bytes | None) -> tuple[Any, ...]:
    lines = order.facts.lines
    return (
        order.id,
        order.state,
        order.facts.status,
        order.facts.purchased_at,
        fingerprint,
        dump(order.facts),
        dump_optional(order.decision),
        dump(order.products),
        order.touched_by,
        order.store_order_id,
        order.first_seen_at,
        order.changed_at,
        order.acknowledged_at,
        order.published_at,
        order.known_at,
        dump(order.shipments),
        dump_optional(order.problem),
        dump(identifiers(lines)),
        "\n".join(order_words(order, references(lines))),
        dump(order.not_shipped),
    )


def identifiers(lines: Iterable[Line]) -> list[str]:
    """What names the products of these lines, once each."""
    return list(dict.fromkeys(line.identifier for line in lines if line.identifier))


def references(lines: Iterable[Line]) -> list[str]:
    """Every reference an order is found by, once each."""
    found = (value for line in lines for value in (line.size_reference, line.reference))
    return list(dict.fromkeys(value for value in found if value))


def order(row: Record) -> Order:
    """The order of a row of the view `order_records`."""
    return Order(
        connection=ConnectionId(row["connection"]),
        facts=_FACTS.validate_json(row["facts"]),
        state=OrderState(row["state"]),
        first_seen_at=row["first_seen_at"],
        changed_at=row["changed_at"],
        decision=row["decision"] and _DECISION.validate_json(row["decision"]),
        touched_by=row["touched_by"],
        products=_PRODUCTS.validate_json(row["products"]),
        store_order_id=row["store_order_id"],
        acknowledged_at=row["acknowledged_at"],
        published_at=row["published_at"],
        known_at=row["known_at"],
        shipments=_SHIPMENTS.validate_json(row["shipments"]),
        not_shipped=_ITEMS.validate_json(row["not_shipped"]),
        erased_at=row["erased_at"],
        problem=row["problem"] and _PROBLEM.validate_json(row["problem"]),
        reserved=_object(row["reserved"]),
        reserved_in=row["reserved_in"],
        actions={
            ActionKind(kind): ActionStatus(status)
            for kind, status in _object(row["actions"]).items()
        },
    )


def with_reserved(order: Order, row: Record | None) -> Order:
    """The order with the reservations of a row, or with none."""
    if row is None:
        return replace(order, reserved={}, reserved_in=None)
    return replace(order, reserved=_object(row["reserved"]), reserved_in=row["reserved_in"])


def kept_order(row: Record) -> KeptOrder:
    """What is kept of an order's decision."""
    return KeptOrder(
        order_id=row["order_id"],
        purchased_at=row["purchased_at"],
        state=OrderState(row["state"]),
        decision=row["decision"] and _DECISION.validate_json(row["decision"]),
        products=_PRODUCTS.validate_json(row["products"]),
        prices={} if row["prices"] is None else _PRICES.validate_json(row["prices"]),
    )


def product(row: Record | Mapping[str, Any]) -> Product:
    """The product of a row of its columns."""
    return Product(**{**row, "attributes": orjson.loads(row["attributes"])})


def _object(data: bytes | None) -> dict[Any, Any]:
    return {} if data is None else orjson.loads(data)
