"""What a command does to an order, or why it may not be (interfaces, "Command message")."""

from collections.abc import Iterable
from typing import assert_never

from statemachine.acceptance import UNDECIDED, is_open, queue_acceptance
from statemachine.changes import Changes
from statemachine.connection import SyncedWhen, SyncLevel
from statemachine.draft import Draft
from statemachine.facts import (
    AcceptOrder,
    AcknowledgeOrder,
    CancelOrder,
    Command,
    LoseOrder,
    Refused,
    RefuseOrder,
    RetryOrder,
    ShipOrder,
    UndeliverOrder,
)
from statemachine.model import (
    ActionKind,
    ActionStatus,
    Order,
    OrderState,
    Shipment,
    ShippedItem,
)
from statemachine.names import canonical_name
from statemachine.order import TRIGGER_OF, Trigger, target
from statemachine.shipping import is_complete, left_to_ship, with_parcels

_COMMANDS = (
    (Trigger.ACCEPT, "accept"),
    (Trigger.ACCEPT, "refuse"),
    (Trigger.SHIP, "ship"),
    (Trigger.LOSE, "lost"),
    (Trigger.UNDELIVER, "undelivered"),
    (Trigger.CANCEL, "cancel"),
)


def obey(draft: Draft, command: Command) -> Changes:
    """Carry the command out on the draft. Raises Refused."""
    settings = draft.context.settings
    if not settings.active:
        raise Refused(
            "connection_disabled", f"connection {settings.id} is disabled; activate it first"
        )
    if settings.sync_level is SyncLevel.STOCK_ONLY:
        raise Refused(
            "stock_only", f"connection {settings.id} synchronizes stock only (sync_level)"
        )
    match command:
        case AcceptOrder():
            return _accept(draft, command)
        case RefuseOrder() | CancelOrder():
            return _cancel(draft, command)
        case ShipOrder():
            return _ship(draft, command)
        case LoseOrder():
            return _report(draft, ActionKind.LOSE, command, "reported lost")
        case UndeliverOrder():
            return _report(draft, ActionKind.UNDELIVER, command, "reported undelivered")
        case RetryOrder():
            return _retry(draft, command)
        case AcknowledgeOrder():
            return _acknowledge(draft, command)
        case _:
            assert_never(command)


def _wrong_state(order: Order, wanted: str) -> Refused:
    allowed = [] if order.state in UNDECIDED else ["acknowledge"]
    allowed += [name for trigger, name in _COMMANDS if target(order.state, trigger) is not None]
    if not may_be_cancelled(order):
        allowed = [name for name in allowed if name != "cancel"]
    possible = ", ".join(allowed)
    return Refused(
        "wrong_state",
        f"order {order.id} is {order.state}: it cannot be {wanted}; possible: {possible}",
    )


def may_be_cancelled(order: Order) -> bool:
    """True before it has left; what was lost or came back is refunded in the back office."""
    came_back = order.state in (OrderState.LOST, OrderState.UNDELIVERED)
    return not came_back and target(order.state, Trigger.CANCEL) is not None


def _refuse_while(order: Order, kind: ActionKind, doing: str) -> None:
    if order.waits_for(kind):
        raise Refused(
            "wrong_state",
            f"order {order.id} is {order.state} and being {doing}; possible: nothing",
        )


def _accept(draft: Draft, command: AcceptOrder) -> Changes:
    order = draft.order
    if order.state not in UNDECIDED:
        raise _wrong_state(order, "accepted")
    _refuse_while(order, ActionKind.CANCEL, "cancelled")
    if not order.waits_for(ActionKind.ACCEPT):
        _withdraw(draft, ActionKind.CANCEL)
        draft.set(touched_by=command.by, problem=None)
        queue_acceptance(draft, command.by, command.reason)
    return draft.finish("queued")


def _cancel(draft: Draft, command: RefuseOrder | CancelOrder) -> Changes:
    order = draft.order
    refusing = isinstance(command, RefuseOrder)
    if order.waits_for(ActionKind.CANCEL):
        return draft.finish("queued")
    if not may_be_cancelled(order):
        raise _wrong_state(order, "refused" if refusing else "cancelled")
    if refusing and order.state not in UNDECIDED:
        raise _wrong_state(order, "refused")
    _refuse_while(order, ActionKind.SHIP, "shipped")
    forced = isinstance(command, CancelOrder) and command.force
    if order.shipments and not forced:
        raise _parcels_shipped(order)
    _withdraw(draft, ActionKind.ACCEPT)
    _withdraw(draft, ActionKind.SHIP)
    draft.set(touched_by=command.by, problem=None)
    reason = command.reason or ("refused" if refusing else None)
    draft.queue(ActionKind.CANCEL, command.by, reason)
    return draft.finish("queued")


def _parcels_shipped(order: Order) -> Refused:
    parcels = ", ".join(shipment.tracking_number for shipment in order.shipments)
    return Refused(
        "parcels_shipped",
        f"parcels of order {order.id} have left: {parcels}; cancelling refunds the whole order"
        " (force cancels all the same; order.ship with complete closes it with what has left)",
    )


def _withdraw(draft: Draft, kind: ActionKind) -> None:
    """The opposite is wanted now: nothing of that action is to be tried any more."""
    if is_open(draft.order, kind):
        draft.settle(kind, ActionStatus.SUPERSEDED)


def _ship(draft: Draft, command: ShipOrder) -> Changes:
    """Keep the parcels; the order is shipped once every unit is in one, or will never leave."""
    order = draft.order
    if order.state in UNDECIDED or order.state is OrderState.CANCELLED:
        raise _wrong_state(order, "shipped")
    _refuse_while(order, ActionKind.CANCEL, "cancelled")
    known = {shipment.tracking_number for shipment in order.shipments}
    news = any(parcel.tracking_number not in known for parcel in command.parcels)
    if news:
        _keep_parcels(draft, command)
    if command.complete:
        _close(draft)
    if is_complete(draft.order):
        draft.known_to_store()
    if is_complete(draft.order) and target(order.state, Trigger.SHIP) is not None:
        if not order.waits_for(ActionKind.SHIP):
            _withdraw(draft, ActionKind.CANCEL)
            draft.set(touched_by=command.by, problem=None)
            draft.queue(ActionKind.SHIP, command.by)
        return draft.finish("queued")  # order.shipped will name the parcels
    if news:
        changes = {"field": "shipments", "old": order.shipments, "new": draft.order.shipments}
        draft.changed([changes])
    return draft.finish()


def _keep_parcels(draft: Draft, command: ShipOrder) -> None:
    """Add the parcels; where all was in parcels already, they correct the record."""
    order, settings = draft.order, draft.context.settings
    before = order.shipments
    correcting = bool(before) and not left_to_ship(order.facts.lines, before)
    if correcting:
        draft.set(shipments=())
    learnt = draft.context.shipping_services
    draft.set(shipments=with_parcels(draft.order, command.parcels, settings, learnt))
    draft.note = _renamed(draft.order.shipments)
    if order.not_shipped:
        _close(draft)
    if target(order.state, Trigger.SHIP) is None:
        draft.stamp_shipments()
        first = f" ({before[0].tracking_number})" if before else ""
        draft.note = f"recorded here; Spartoo keeps the first tracking number it was given{first}"


def _close(draft: Draft) -> None:
    """What is in no parcel is recorded as not shipped."""
    order = draft.order
    if not order.shipments:
        why = f"order {order.id}: no parcel has left; name one with `complete`, or cancel the order"
        raise Refused("wrong_state", why)
    left = left_to_ship(order.facts.lines, order.shipments)
    draft.give_up(ShippedItem(line, units) for line, units in sorted(left.items()))


def _renamed(shipments: Iterable[Shipment]) -> str | None:
    """Says which store names stand for other services, or for none that is known."""
    notes = {
        f"{s.store_shipping_service!r} is kept as the service {s.shipping_service!r}"
        for s in shipments
        if canonical_name(s.store_shipping_service) not in ("", canonical_name(s.shipping_service))
    }
    return "; ".join(sorted(notes)) or None


def _report(
    draft: Draft, kind: ActionKind, command: LoseOrder | UndeliverOrder, wanted: str
) -> Changes:
    """Tell Spartoo what became of a shipped order."""
    order = draft.order
    if target(order.state, TRIGGER_OF[kind]) is None:
        raise _wrong_state(order, wanted)
    for other in (ActionKind.LOSE, ActionKind.UNDELIVER):
        if other is not kind:
            _refuse_while(order, other, f"reported {other}")
            _withdraw(draft, other)
    if not order.waits_for(kind):
        draft.set(touched_by=command.by, problem=None)
        draft.queue(kind, command.by, command.reason)
    return draft.finish("queued")


def _retry(draft: Draft, command: RetryOrder) -> Changes:
    """Failed actions are tried again; without one, the order is read again."""
    order = draft.order
    failed = [kind for kind, status in order.actions.items() if status is ActionStatus.FAILED]
    if order.problem is None and not failed:
        if ActionStatus.PENDING in order.actions.values():
            return draft.finish("queued")
        raise Refused("wrong_state", f"order {order.id} is {order.state}: nothing to retry")
    draft.set(problem=None, touched_by=command.by)
    wanted = [kind for kind in failed if _may_be_tried(order, kind)]
    for kind in wanted:
        if kind is ActionKind.ACCEPT:
            queue_acceptance(draft, command.by)
        else:
            draft.queue(kind, command.by)
    if not wanted:
        draft.queue(ActionKind.FETCH, command.by)
    return draft.finish("queued")


def _may_be_tried(order: Order, kind: ActionKind) -> bool:
    trigger = TRIGGER_OF.get(kind)
    return trigger is None or target(order.state, trigger) is not None


def _acknowledge(draft: Draft, command: AcknowledgeOrder) -> Changes:
    order, now = draft.order, draft.context.now
    if order.state in UNDECIDED:
        raise _wrong_state(order, "acknowledged")
    draft.set(
        store_order_id=command.store_order_id,
        acknowledged_at=order.acknowledged_at or now,
        known_at=min(order.known_at or now, now),
    )
    sync_if_due(draft, command.by)
    return draft.finish()


def sync_if_due(draft: Draft, by: str) -> None:
    """Synced is what the setting says it is, also when that changed on the way."""
    order = draft.order
    acknowledged = draft.context.settings.synced_when is SyncedWhen.ACKNOWLEDGED
    due = order.acknowledged_at if acknowledged else order.published_at
    if due is not None and order.state is OrderState.ACCEPTED:
        draft.move(Trigger.SYNC, by)
