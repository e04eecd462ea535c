"""step(order, fact) → changes: the one place that says what a fact does to an order.

Invariants: an order moves only along the state machine; units are reserved with the decision to
accept (or with an acceptance seen) and given back with the cancellation; an action is queued once
while it waits. Nothing here knows a clock, a database or a network.
"""

from collections.abc import Sequence
from dataclasses import replace

from statemachine.acceptance import (
    AUTOMATIC,
    UNDECIDED,
    follow_decision,
    follow_items,
    is_open,
    review,
)
from statemachine.changes import Changes
from statemachine.connection import SyncedWhen
from statemachine.dates import may_be_older
from statemachine.decision import decide
from statemachine.differences import differences
from statemachine.draft import Context, Draft
from statemachine.facts import (
    AcceptedPublished,
    ActionCarriedOut,
    ActionRejected,
    CatalogueChanged,
    Fact,
    Seen,
    SettingsChanged,
    UnknownStatus,
)
from statemachine.model import (
    ActionKind,
    ActionStatus,
    ConnectionId,
    MarketplaceOrder,
    Order,
    OrderState,
    Problem,
    SpartooStatus,
)
from statemachine.obeying import obey, sync_if_due
from statemachine.order import (
    FULFILLED,
    STATES_OF_STATUS,
    STATUS_WANTED,
    TRIGGER_OF,
    Trigger,
    path,
    target,
)
from statemachine.privacy import erased
from statemachine.stock import Catalogue

MARKETPLACE = "marketplace"
BROKER = "broker"

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
        case ActionCarriedOut():
            return _carried_out(Draft(order, context), fact)
        case ActionRejected():
            return _rejected(Draft(order, context), fact)
        case AcceptedPublished():
            return _published(Draft(order, context))
        case CatalogueChanged():
            return _reviewed(Draft(order, context))
        case SettingsChanged():
            return _follow_settings(Draft(order, context))
        case _:
            return obey(Draft(order, context), fact)


# --- what the marketplace says -----------------------------------------------------------------


def _seen(draft: Draft, fact: Seen) -> Changes:
    """Follow the marketplace; a reading older than what we know is told nothing by."""
    order = draft.order
    if fact.read_at <= order.changed_at or (
        may_be_older(fact.read_at, order.changed_at) and _contradicts(order, fact.order)
    ):
        return Changes(order=order, touched=False, stale=True)
    seen = fact.order if order.erased_at is None else erased(fact.order)
    changes = differences(order.facts, seen)
    other_items = seen.lines != order.facts.lines
    if seen != order.facts:
        draft.set(facts=seen, changed_at=draft.context.now)
    if other_items:
        draft.match()
    if changes:
        draft.changed(changes)
    _walk(draft)
    if other_items:
        follow_items(draft)
    return draft.finish()


def _contradicts(order: Order, seen: MarketplaceOrder) -> bool:
    """True when no way leads from where the order stands to what was read."""
    known = seen.status in STATES_OF_STATUS
    return known and _way(replace(order, facts=seen)) is None


def _walk(draft: Draft) -> None:
    """Go through every state between ours and the marketplace's, in turn."""
    status = draft.order.facts.status
    if draft.silent and draft.order.state in UNDECIDED and status != SpartooStatus.CANCELLED:
        _record(draft)
    try:
        way = _way(draft.order)
    except KeyError:
        _unexpected(draft, f"Spartoo says status {status}, which is not known here")
        return
    if way is None:
        here = draft.order.state
        _unexpected(draft, f"Spartoo says status {status}, but the order is {here} here")
        return
    for trigger in way:
        _take(draft, trigger, MARKETPLACE)
    if draft.order.problem is not None and draft.order.problem.code == _UNEXPECTED:
        draft.set(problem=None)
    _settle_moot_actions(draft)


def _unexpected(draft: Draft, message: str) -> None:
    """A failed action keeps its problem: a passing status must not hide it."""
    problem, actions = draft.order.problem, draft.order.actions
    if problem is None or ActionStatus.FAILED not in (actions.get(k) for k in _kind(problem)):
        draft.trouble(_UNEXPECTED, message)


def _kind(problem: Problem) -> Sequence[ActionKind]:
    return () if problem.action is None else (ActionKind(problem.action),)


def _way(order: Order) -> Sequence[Trigger] | None:
    """The path to the marketplace's status; an order only recorded is not accepted by us."""
    if _is_only_recorded(order):
        return ()
    return path(order.state, order.facts.status)


def _is_only_recorded(order: Order) -> bool:
    """True of an order recorded under `stock_only` that still waits on the marketplace."""
    published = order.published_at is not None or order.acknowledged_at is not None
    waits = order.facts.status == SpartooStatus.VERIFIED
    return waits and not published and order.state is OrderState.SYNCED


def _take(draft: Draft, trigger: Trigger, by: str, reason: str | None = None) -> None:
    """One transition with its stock movement."""
    if trigger is Trigger.ACCEPT:
        draft.reserve("order_accepted")  # before the move: its event names the products
    elif trigger is Trigger.SHIP:
        draft.stamp_shipments()
        draft.known_to_store()
    draft.move(trigger, by, reason)
    if trigger is Trigger.CANCEL:
        draft.release("order_cancelled")


def _record(draft: Draft) -> None:
    """`stock_only`: nothing is decided or published, the stock moves all the same."""
    draft.move(Trigger.RECORD, MARKETPLACE)
    draft.reserve("marketplace_order")
    draft.set(known_at=draft.context.now + draft.context.settings.store_lag)


# --- what the settings say ---------------------------------------------------------------------


def _follow_settings(draft: Draft) -> Changes:
    """Where the settings as they are now would have put the order; else a person must look."""
    if draft.silent:
        _stop_sending(draft)
    elif _is_only_recorded(draft.order):
        _begin_again(draft)
    elif draft.order.state is OrderState.NEW and not _is_on_its_way(draft.order):
        _decide(draft, draft.context.catalogue)
    else:
        review(draft)
    if draft.order.published_at is not None:
        _know_published(draft)
    sync_if_due(draft, AUTOMATIC)
    return draft.finish()


def _stop_sending(draft: Draft) -> None:
    """`stock_only` now: what waits for a decision is recorded, what was asked for is not sent."""
    given_up = [kind for kind in TRIGGER_OF if is_open(draft.order, kind)]
    for kind in given_up:
        draft.settle(kind, ActionStatus.SUPERSEDED)
        draft.solve(kind)
    if draft.order.state in UNDECIDED:
        _record(draft)
    elif draft.order.state is OrderState.ACCEPTED:
        draft.move(Trigger.SYNC, AUTOMATIC)
    asked = [kind for kind in given_up if kind is not ActionKind.ACCEPT]
    if asked:
        names = ", ".join(asked)
        message = f"{names} was asked for and not sent: the connection synchronizes stock only now"
        draft.trouble("stock_only", message)


def _begin_again(draft: Draft) -> None:
    """Recorded until now: from here on as if it were seen for the first time."""
    catalogue = draft.context.catalogue.without(draft.order.reserved)
    draft.release("marketplace_order")
    draft.set(state=OrderState.NEW, known_at=None)
    draft.begin(MARKETPLACE)
    _decide(draft, catalogue)


def _is_on_its_way(order: Order) -> bool:
    return is_open(order, ActionKind.ACCEPT) or is_open(order, ActionKind.CANCEL)


def _decide(draft: Draft, catalogue: Catalogue) -> None:
    context = draft.context
    draft.decide(decide(draft.order.facts, context.settings, catalogue, context.now))
    follow_decision(draft)


def _settle_moot_actions(draft: Draft) -> None:
    """Actions, waiting or failed, that what was seen has fulfilled or made pointless."""
    for kind, trigger in TRIGGER_OF.items():
        if not is_open(draft.order, kind) or target(draft.order.state, trigger) is not None:
            continue
        granted = draft.order.facts.status != SpartooStatus.VERIFIED
        if granted and draft.order.state in FULFILLED[kind]:
            draft.settle(kind, ActionStatus.DONE)
            draft.solve(kind)
        elif kind is ActionKind.ACCEPT:
            draft.settle(kind, ActionStatus.SUPERSEDED)
            draft.solve(kind)
        elif draft.order.waits_for(kind):
            draft.settle(kind, ActionStatus.FAILED)
            message = f"too late to {trigger}: Spartoo says the order is {draft.order.state}"
            draft.trouble("wrong_chronology", message, kind)


def _reviewed(draft: Draft) -> Changes:
    review(draft)
    return draft.finish()


# --- outcomes ----------------------------------------------------------------------------------


def _carried_out(draft: Draft, fact: ActionCarriedOut) -> Changes:
    """The marketplace's word for our own action: the fact it asked for is now true."""
    draft.settle(fact.kind, ActionStatus.DONE)
    trigger = TRIGGER_OF.get(fact.kind)
    if trigger is not None and target(draft.order.state, trigger) is not None:
        facts = replace(draft.order.facts, status=STATUS_WANTED[fact.kind])
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
    if draft.order.published_at is None:
        draft.set(published_at=draft.context.now)
    _know_published(draft)
    sync_if_due(draft, BROKER)
    return draft.finish()


def _know_published(draft: Draft) -> None:
    """With `published`, an order never acknowledged is known to the store after a while."""
    settings = draft.context.settings
    if settings.synced_when is SyncedWhen.PUBLISHED and draft.order.known_at is None:
        draft.set(known_at=draft.context.now + settings.store_lag)
