"""The events of a step, in the shapes of interfaces.md ("Event message")."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from statemachine.changes import Event, EventType, Transition
from statemachine.connection import ConnectionSettings
from statemachine.decision import published_address, ships_to_billing_address
from statemachine.model import (
    ConnectionId,
    Decision,
    Line,
    Order,
    OrderState,
    Product,
)

_EVENT_OF_STATE = {
    OrderState.NEW: EventType.ORDER_NEW,
    OrderState.PENDING_MANUAL: EventType.ORDER_PENDING_MANUAL,
    OrderState.ACCEPTED: EventType.ORDER_ACCEPTED,
    OrderState.SYNCED: EventType.ORDER_SYNCED,
    OrderState.SHIPPED: EventType.ORDER_SHIPPED,
    OrderState.CANCELLED: EventType.ORDER_CANCELLED,
    OrderState.LOST: EventType.ORDER_LOST,
    OrderState.UNDELIVERED: EventType.ORDER_UNDELIVERED,
}
UNREADABLE = "unreadable-"

_LINE_FIELDS = tuple(field.name for field in fields(Line))
_TELL_WHY = {OrderState.NEW, OrderState.PENDING_MANUAL, OrderState.ACCEPTED}


def order_source(connection: ConnectionId) -> str:
    """CloudEvents `source` of a connection's events."""
    return f"/spartoo/{connection}"


def order_document(order: Order, settings: ConnectionSettings) -> dict[str, Any]:
    """The order as the outside sees it: events, replies, `orders show --json`."""
    facts = order.facts
    return {
        "connection": order.connection,
        "order_id": facts.order_id,
        "state": order.state,
        "spartoo_status": facts.status,
        "purchased_at": facts.purchased_at,
        "modified_at": facts.modified_at,
        "currency": facts.currency,
        "total": facts.total,
        "shipping_price": facts.shipping_price,
        "shipping_service": facts.shipping_service,
        "payment": facts.payment,
        "customer": facts.customer,
        "billing_address": facts.billing_address,
        "shipping_address": published_address(facts, settings),
        "shipping_address_source": (
            "billing" if ships_to_billing_address(facts, settings) else "marketplace"
        ),
        "marketplace_shipping_address": facts.shipping_address,
        "relay": facts.relay,
        "items": [_item(line, order) for line in facts.lines],
        "store_order_id": order.store_order_id,
        "shipments": order.shipments,
        "not_shipped": order.not_shipped,
    }


def _item(line: Line, order: Order) -> dict[str, Any]:
    item = {name: getattr(line, name) for name in _LINE_FIELDS}
    item["product_id"] = order.products.get(line.line)
    return item


def decision_document(decision: Decision) -> dict[str, Any]:
    """The decision with its figures."""
    return asdict(decision)


def transition_event(order: Order, transition: Transition, settings: ConnectionSettings) -> Event:
    """The event of a move; `order` is as it stands after it."""
    data: dict[str, Any] = {
        "order": order_document(order, settings),
        "transition": transition_document(transition),
    }
    if order.decision is not None and order.state in _TELL_WHY:
        data["decision"] = order.decision
    return _order_event(_EVENT_OF_STATE[order.state], order, data, transition.at)


def transition_document(transition: Transition) -> dict[str, Any]:
    """A move as events and `orders show --json` tell it."""
    return {
        "from": transition.from_state,
        "to": transition.to_state,
        "trigger": transition.trigger,
        "by": transition.by,
        "at": transition.at,
    }


def changed_event(
    order: Order,
    changes: Sequence[Mapping[str, Any]],
    settings: ConnectionSettings,
    now: datetime,
) -> Event:
    """Address or items changed on the marketplace, the state did not."""
    data = {"order": order_document(order, settings), "changes": list(changes)}
    return _order_event(EventType.ORDER_CHANGED, order, data, now)


def problem_event(order: Order, settings: ConnectionSettings, now: datetime) -> Event:
    """A person must look; `order.problem` is set."""
    problem = order.problem
    if problem is None:
        raise ValueError("an order without a problem has no problem event")
    data = {
        "order": order_document(order, settings),
        "problem": {"code": problem.code, "message": problem.message, "action": problem.action},
    }
    return _order_event(EventType.ORDER_PROBLEM, order, data, now)


def _order_event(kind: EventType, order: Order, data: dict[str, Any], now: datetime) -> Event:
    return Event(
        type=kind,
        source=order_source(order.connection),
        subject=order.id,
        time=now,
        data=data,
        connection=order.connection,
        order_id=order.id,
    )


def stock_event(
    product: Product, delta: int, reason: str, now: datetime, order: Order | None = None
) -> Event:
    """The availability of a product moved; `product` is as it stands after it.

    `delta` is the movement of stock less reservations, so it adds up also below zero.
    """
    connection = order.connection if order else None
    order_id = order.id if order else None
    return Event(
        type=EventType.STOCK_CHANGED,
        source=f"/spartoo/catalog/{product.catalog}",
        subject=product.id,
        time=now,
        data={
            "catalog": product.catalog,
            "product_id": product.id,
            "delta": delta,
            "available": product.available,
            "shortfall": product.shortfall,
            "reason": reason,
            "connection": connection,
            "order_id": order_id,
        },
        connection=connection,
        order_id=order_id,
        catalog=product.catalog,
    )


def quarantined_event(
    connection: ConnectionId, subject: str, error: str, *, first_seen: datetime, now: datetime
) -> Event:
    """An exported order cannot be read; its XML waits in quarantine.

    The subject is the order's id or, where none can be read, `unreadable-` and a hash.
    """
    order_id = None if subject.startswith(UNREADABLE) else subject
    return Event(
        type=EventType.ORDER_QUARANTINED,
        source=order_source(connection),
        subject=subject,
        time=now,
        data={
            "quarantine": {
                "connection": connection,
                "order_id": order_id,
                "error": error,
                "first_seen_at": first_seen,
            }
        },
        connection=connection,
        order_id=order_id,
    )
