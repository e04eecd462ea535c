"""What a step produces, as data. The caller stores all of it in one transaction, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from statemachine.model import (
    ActionKind,
    CatalogId,
    ConnectionId,
    Decision,
    Order,
    OrderState,
    ProductId,
)


class EventType(StrEnum):
    """The AMQP property `type` and the first part of the routing key (interfaces, "Events")."""

    ORDER_NEW = "order.new"
    ORDER_PENDING_MANUAL = "order.pending_manual"
    ORDER_ACCEPTED = "order.accepted"
    ORDER_SYNCED = "order.synced"
    ORDER_SHIPPED = "order.shipped"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_LOST = "order.lost"
    ORDER_UNDELIVERED = "order.undelivered"
    ORDER_CHANGED = "order.changed"
    ORDER_PROBLEM = "order.problem"
    ORDER_QUARANTINED = "order.quarantined"
    RETURN_REQUESTED = "return.requested"
    RETURN_ACCEPTED = "return.accepted"
    RETURN_REFUSED = "return.refused"
    RETURN_PAID = "return.paid"
    RETURN_REFUNDED = "return.refunded"
    STOCK_CHANGED = "stock.changed"
    CONNECTION_SUSPENDED = "connection.suspended"
    CONNECTION_RESUMED = "connection.resumed"


@dataclass(frozen=True, slots=True)
class Transition:
    """One move of the state machine; `from_state` is None when the order was first seen."""

    from_state: OrderState | None
    to_state: OrderState
    trigger: str
    by: str
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event before the log gives it its id and its `sequence` within (source, subject)."""

    type: EventType
    source: str  # /spartoo/<connection> or /spartoo/catalog/<catalog>
    subject: str
    time: datetime
    data: Mapping[str, Any]  # JSON-ready but for Decimal (→ str) and dataclasses
    connection: ConnectionId | None = None  # whose order caused it, if any
    order_id: str | None = None
    catalog: CatalogId | None = None  # set on stock.changed only


@dataclass(frozen=True, slots=True)
class Action:
    """An intention to store. Keyed by (order, kind): the same one twice is one."""

    kind: ActionKind
    reason: str | None = None
    by: str = "system"


@dataclass(frozen=True, slots=True)
class Changes:
    """All that one step of one order changes.

    `reserved` holds the difference per product (negative: released), already contained in
    `order.reserved`. `answer` is what a command is told: `queued` while an action for the
    marketplace waits.
    """

    order: Order
    created: bool = False
    touched: bool = True  # False: nothing to store
    stale: bool = False  # the reading was older than what we know: look again
    history: tuple[Transition, ...] = ()
    events: tuple[Event, ...] = ()
    actions: tuple[Action, ...] = ()
    settled: Mapping[ActionKind, str] = field(default_factory=dict)  # kind → done|failed|superseded
    reserved: Mapping[ProductId, int] = field(default_factory=dict)
    decided: Decision | None = None  # a decision taken in this step
    answer: Literal["done", "queued"] = "done"
    note: str | None = None  # what the asker should know beside the answer
