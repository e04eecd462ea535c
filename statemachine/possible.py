"""What a person may ask for an order as it stands; what `obey` would refuse is not in it."""

from statemachine.acceptance import UNDECIDED
from statemachine.connection import ConnectionSettings, SyncLevel
from statemachine.model import ActionKind, ActionStatus, Order, OrderState
from statemachine.obeying import may_be_cancelled


def possible(order: Order, settings: ConnectionSettings) -> frozenset[str]:
    """The last words of the order commands that would do something now."""
    if not settings.active or settings.sync_level is SyncLevel.STOCK_ONLY:
        return frozenset()
    found = {"fetch"}
    if order.problem is not None or ActionStatus.FAILED in order.actions.values():
        found.add("retry")
    if order.state in UNDECIDED:
        return frozenset(found | _of_undecided(order))
    if order.state is not OrderState.CANCELLED and not order.waits_for(ActionKind.CANCEL):
        found.add("ship")
    if order.state is OrderState.SHIPPED:
        found |= _of_shipped(order)
    return frozenset(found | _cancel(order))


def _of_undecided(order: Order) -> set[str]:
    if order.waits_for(ActionKind.CANCEL):
        return set()
    asked = {"accept": ActionKind.ACCEPT, "refuse": ActionKind.SHIP}
    return {name for name, kind in asked.items() if not order.waits_for(kind)}


def _of_shipped(order: Order) -> set[str]:
    reporting = order.waits_for(ActionKind.LOSE) or order.waits_for(ActionKind.UNDELIVER)
    return set() if reporting else {"lost", "undelivered"}


def _cancel(order: Order) -> set[str]:
    waits = order.waits_for(ActionKind.CANCEL) or order.waits_for(ActionKind.SHIP)
    return {"cancel"} if may_be_cancelled(order) and not waits else set()
