"""step(order, fact) → changes: the one place that says what a fact does to an order.

Invariants: an order moves only along the state machine; units are reserved with the decision to
accept (or with an acceptance seen) and given back with the cancellation; an action is queued once
while it waits. Nothing here knows a clock, a database or a network.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from statemachine.acceptance import (
    UNDECIDED,
    follow_decision,
    follow_items,
    is_open,
    queue_acceptance,
    review,
)
from statemachine.changes import Changes
from statemachine.connection import SyncedWhen, SyncLevel
from statemachine.decision import decide
from statemachine.differences import differences
from statemachine.draft import Context, Draft
from statemachine.facts import (
    AcceptedPublished,
    AcceptOrder,
    AcknowledgeOrder,
    ActionCarriedOut,
    ActionRejected,
    CancelOrder,
    CatalogueChanged,
    Command,
    Fact,
    Refused,
    RefuseOrder,
    RetryOrder,
    Seen,
    UnknownStatus,
)
from statemachine.model import (
    ActionKind,
    ActionStatus,
    ConnectionId,
    MarketplaceOrder,
    Order,
    OrderState,
    SpartooStatus,
)
from statemachine.order import STATES_OF_STATUS, Trigger, path, target

MARKETPLACE = "marketplace"
BROKER = "broker"

_STATUS_WANTED = {
    ActionKind.ACCEPT: SpartooStatus.IN_PREPARATION,
    ActionKind.CANCEL: SpartooStatus.CANCELLED,
}
_UNEXPECTED = "unexpected_status"


def first_sight(fact: Seen, context: Context) -> Changes:
    """An order nobody knew. Raises UnknownStatus, before which nothing is stored."""
    facts = fact.order
    if facts.status not in STATES_OF_STATUS:
        raise UnknownStatus(facts.status)
    order = Order(
        connection=ConnectionId(context.settings.id),
        facts=facts,
        state=OrderState.NEW,
        first_seen_at=context.now,
        changed_at=context.now,
        products=context.catalogue.matches(facts.lines),
    )
    draft = Draft(order, context, created=True)
    undecided = facts.status == SpartooStatus.VERIFIED
    if undecided and not draft.silent:
        draft.decide(decide(facts, context.settings, context.catalogue, context.now))
    draft.begin(MARKETPLACE)
    if undecided and not draft.silent:
        follow_decision(draft)
    else:
        _walk(draft)
    return draft.finish()


def step(order: Order, fact: Fact, context: Context) -> Changes:
    """What the fact does to the order. A command that may not be raises Refused."""
    match fact:
        case Seen():
            return _seen(Draft(order, context), fact)
        case AcceptOrder() | RefuseOrder() | CancelOrder() | RetryOrder() | AcknowledgeOrder():
            return _commanded(Draft(order, context), fact)
        case ActionCarriedOut():
            return _carried_out(Draft(order, context), fact)
        case ActionRejected():
            return _rejected(Draft(order, context), fact)
        case AcceptedPublished():
            return _published(Draft(order, context))
        case CatalogueChanged():
            return _reviewed(Draft(order, context))
        case _:
            assert_never(fact)


# --- what the marketplace says -----------------------------------------------------------------


def _seen(draft: Draft, fact: Seen) -> Changes:
    """Follow the marketplace; a reading older than what we know is told nothing by."""
    order = draft.order
    if fact.read_at <= order.changed_at:
        return Changes(order=order, touched=False, stale=True)
    changes = differences(order.facts, fact.order)
    other_items = fact.order.lines != order.facts.lines
    if fact.order != order.facts:
        draft.set(facts=fact.order, changed_at=draft.context.now)
    if other_items:
        draft.match()
    if changes:
        draft.changed(changes)
    _walk(draft)
    if other_items:
        follow_items(draft)
    return draft.finish()


def _walk(draft: Draft) -> None:
    """Go through every state between ours and the marketplace's, in turn."""
    status = draft.order.facts.status
    if draft.silent and draft.order.state is OrderState.NEW and status != SpartooStatus.CANCELLED:
        _record(draft)
    try:
        way = _way(draft.order)
    except KeyError:
        draft.trouble(_UNEXPECTED, f"Spartoo says status {status}, which is not known here")
        return
    if way is None:
        message = f"Spartoo says status {status}, but the order is {draft.order.state} here"
        draft.trouble(_UNEXPECTED, message)
        return
    for trigger in way:
        _take(draft, trigger, MARKETPLACE)
    if draft.order.problem is not None and draft.order.problem.code == _UNEXPECTED:
        draft.set(problem=None)
    _settle_moot_actions(draft)


def _way(order: Order) -> Sequence[Trigger] | None:
    """The path to the marketplace's status; an order only recorded is not accepted by us."""
    recorded = order.published_at is None and order.acknowledged_at is None
    waits = order.facts.status == SpartooStatus.VERIFIED
    if waits and recorded and order.state is OrderState.SYNCED:
        return ()
    return path(order.state, order.facts.status)


def _take(draft: Draft, trigger: Trigger, by: str, reason: str | None = None) -> None:
    """One transition with its stock movement."""
    if trigger is Trigger.ACCEPT:
        draft.reserve("order_accepted")  # before the move: its event names the products
    draft.move(trigger, by, reason)
    if trigger is Trigger.CANCEL:
        draft.release("order_cancelled")


def _record(draft: Draft) -> None:
    """`stock_only`: nothing is decided or published, the stock moves all the same."""
    draft.move(Trigger.RECORD, MARKETPLACE)
    draft.reserve("marketplace_order")
    draft.set(known_at=draft.context.now + draft.context.settings.store_lag)


def _settle_moot_actions(draft: Draft) -> None:
    """Actions, waiting or failed, that what was seen has fulfilled or made pointless."""
    order = draft.order
    if is_open(order, ActionKind.ACCEPT) and order.state not in UNDECIDED:
        denied = order.facts.status in (SpartooStatus.VERIFIED, SpartooStatus.CANCELLED)
        draft.settle(ActionKind.ACCEPT, ActionStatus.SUPERSEDED if denied else ActionStatus.DONE)
        draft.solve(ActionKind.ACCEPT)
    if is_open(order, ActionKind.CANCEL):
        if order.state is OrderState.CANCELLED:
            draft.settle(ActionKind.CANCEL, ActionStatus.DONE)
            draft.solve(ActionKind.CANCEL)
        elif order.waits_for(ActionKind.CANCEL) and target(order.state, Trigger.CANCEL) is None:
            draft.settle(ActionKind.CANCEL, ActionStatus.FAILED)
            message = f"too late to cancel: Spartoo says the order is {order.state}"
            draft.trouble("wrong_chronology", message, ActionKind.CANCEL)


def _reviewed(draft: Draft) -> Changes:
    review(draft)
    return draft.finish()


# --- commands ----------------------------------------------------------------------------------


def _commanded(draft: Draft, command: Command) -> Changes:
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
        case RetryOrder():
            return _retry(draft, command)
        case AcknowledgeOrder():
            return _acknowledge(draft, command)
        case _:
            assert_never(command)


def _wrong_state(order: Order, wanted: str) -> Refused:
    allowed = ["accept", "refuse"] if order.state in UNDECIDED else ["acknowledge"]
    if target(order.state, Trigger.CANCEL) is not None:
        allowed.append("cancel")
    possible = ", ".join(allowed)
    return Refused(
        "wrong_state",
        f"order {order.id} is {order.state}: it cannot be {wanted}; possible: {possible}",
    )


def _accept(draft: Draft, command: AcceptOrder) -> Changes:
    order = draft.order
    if order.state not in UNDECIDED:
        raise _wrong_state(order, "accepted")
    if order.waits_for(ActionKind.CANCEL):
        raise Refused(
            "wrong_state",
            f"order {order.id} is {order.state} and being cancelled; possible: nothing",
        )
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
    if target(order.state, Trigger.CANCEL) is None:
        raise _wrong_state(order, "refused" if refusing else "cancelled")
    if refusing and order.state not in UNDECIDED:
        raise _wrong_state(order, "refused")
    _withdraw(draft, ActionKind.ACCEPT)
    draft.set(touched_by=command.by, problem=None)
    reason = command.reason or ("refused" if refusing else None)
    draft.queue(ActionKind.CANCEL, command.by, reason)
    return draft.finish("queued")


def _withdraw(draft: Draft, kind: ActionKind) -> None:
    """The opposite is wanted now: nothing of that action is to be tried any more."""
    if is_open(draft.order, kind):
        draft.settle(kind, ActionStatus.SUPERSEDED)


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
    match kind:
        case ActionKind.ACCEPT:
            return order.state in UNDECIDED
        case ActionKind.CANCEL:
            return target(order.state, Trigger.CANCEL) is not None
        case ActionKind.FETCH:
            return True
        case _:
            assert_never(kind)


def _acknowledge(draft: Draft, command: AcknowledgeOrder) -> Changes:
    order, now = draft.order, draft.context.now
    if order.state in UNDECIDED:
        raise _wrong_state(order, "acknowledged")
    draft.set(
        store_order_id=command.store_order_id,
        acknowledged_at=order.acknowledged_at or now,
        known_at=min(order.known_at or now, now),
    )
    _sync_if_due(draft, command.by)
    return draft.finish()


# --- outcomes ----------------------------------------------------------------------------------


def _carried_out(draft: Draft, fact: ActionCarriedOut) -> Changes:
    """The marketplace's word for our own action: the fact it asked for is now true."""
    draft.settle(fact.kind, ActionStatus.DONE)
    if fact.kind is ActionKind.FETCH:
        return draft.finish()
    status = _STATUS_WANTED[fact.kind]
    state = draft.order.state
    trigger = Trigger.ACCEPT if fact.kind is ActionKind.ACCEPT else Trigger.CANCEL
    if target(state, trigger) is not None:
        facts: MarketplaceOrder = replace(draft.order.facts, status=status)
        draft.set(facts=facts, changed_at=draft.context.now, problem=None)
        _take(draft, trigger, fact.by, fact.reason)
        _settle_moot_actions(draft)
    return draft.finish()


def _rejected(draft: Draft, fact: ActionRejected) -> Changes:
    """Keep the state; a person must look, unless what was seen has made the action moot."""
    _settle_moot_actions(draft)
    if not draft.order.waits_for(fact.kind):
        return draft.finish()
    draft.settle(fact.kind, ActionStatus.FAILED)
    if draft.order.state in UNDECIDED and not draft.order.waits_for(ActionKind.ACCEPT):
        draft.release("order_cancelled")
    draft.trouble(fact.code, fact.message, fact.kind)
    return draft.finish()


def _published(draft: Draft) -> Changes:
    """From now the store can know the order; with `published` it is synced."""
    order, context = draft.order, draft.context
    if order.published_at is None:
        draft.set(published_at=context.now)
    if context.settings.synced_when is SyncedWhen.PUBLISHED and order.known_at is None:
        draft.set(known_at=context.now + context.settings.store_lag)
    _sync_if_due(draft, BROKER)
    return draft.finish()


def _sync_if_due(draft: Draft, by: str) -> None:
    """Synced is what the setting says it is, also when that changed on the way."""
    order = draft.order
    acknowledged = draft.context.settings.synced_when is SyncedWhen.ACKNOWLEDGED
    due = order.acknowledged_at if acknowledged else order.published_at
    if due is not None and order.state is OrderState.ACCEPTED:
        draft.move(Trigger.SYNC, by)
