"""What a decision leads to: units reserved and an acceptance queued, or an order that waits."""

from dataclasses import replace

from statemachine.decision import ACCEPT, decide
from statemachine.draft import Draft
from statemachine.model import ActionKind, ActionStatus, Decision, Order, OrderState
from statemachine.order import Trigger

AUTOMATIC = "automatic"
UNDECIDED = (OrderState.NEW, OrderState.PENDING_MANUAL)


def is_open(order: Order, kind: ActionKind) -> bool:
    """True while that action waits, or failed and a person may ask for it again."""
    return order.actions.get(kind) in (ActionStatus.PENDING, ActionStatus.FAILED)


def follow_decision(draft: Draft) -> None:
    """Queue the acceptance, or let a new order wait for a person."""
    decision = draft.order.decision
    if decision is not None and decision.outcome == ACCEPT:
        queue_acceptance(draft, AUTOMATIC)
    elif draft.order.state is OrderState.NEW:
        draft.move(Trigger.HOLD, AUTOMATIC)


def queue_acceptance(draft: Draft, by: str, reason: str | None = None) -> None:
    """Reserve and queue belong together: two orders never share the last unit."""
    draft.reserve("order_accepted")
    draft.queue(ActionKind.ACCEPT, by, reason)


def follow_items(draft: Draft) -> None:
    """The items changed: what was decided on them and promised of them follows."""
    order = draft.order
    undecided = order.state in UNDECIDED and order.touched_by is None
    if undecided and order.waits_for(ActionKind.ACCEPT):
        _reconsider(draft)
    else:
        review(draft)
    draft.readjust("marketplace_order")


def _reconsider(draft: Draft) -> None:
    """Decide on the new items while an automatic acceptance waits, as if it had not been given."""
    order, context = draft.order, draft.context
    catalogue = context.catalogue.without(order.reserved)
    decision = decide(order.facts, context.settings, catalogue, context.now)
    draft.decide(decision)
    if decision.outcome != ACCEPT:
        draft.settle(ActionKind.ACCEPT, ActionStatus.SUPERSEDED)
        draft.release("order_cancelled")
        follow_decision(draft)


def review(draft: Draft) -> None:
    """Decide a waiting order again, unless a person has touched it or must.

    Without automatic acceptance too: then the reasons and figures that a person sees are true.
    """
    order, context = draft.order, draft.context
    waiting = order.state is OrderState.PENDING_MANUAL and not is_open(order, ActionKind.ACCEPT)
    if not waiting or order.touched_by is not None or draft.silent:
        return
    decision = decide(order.facts, context.settings, context.catalogue, context.now)
    if not _is_news(decision, order.decision):
        return
    draft.decide(decision)
    if _other_reasons(decision, order.decision) and not context.settings.auto_accept:
        before = order.decision.reasons if order.decision else ()
        reasons = {"old": before, "new": decision.reasons}
        draft.changed([{"field": "decision.reasons", **reasons}])
    follow_decision(draft)


def _other_reasons(decision: Decision, known: Decision | None) -> bool:
    return known is not None and decision.reasons != known.reasons


def _is_news(decision: Decision, known: Decision | None) -> bool:
    """A decision is news when more than its time changed."""
    return known is None or decision != replace(known, at=decision.at)
