"""What is offered for an order is what would be done; all else is refused or there already."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

import pytest

from statemachine.facts import (
    AcceptOrder,
    CancelOrder,
    Command,
    LoseOrder,
    Parcel,
    Refused,
    RefuseOrder,
    RetryOrder,
    ShipOrder,
    UndeliverOrder,
)
from statemachine.model import ActionKind, ActionStatus, Order, OrderState, Problem
from statemachine.possible import possible
from statemachine.step import step
from tests.unit.builders import NOW, context, product, reach, settings

BY = "ada"
COMMANDS: Mapping[str, Command] = {
    "accept": AcceptOrder(BY),
    "refuse": RefuseOrder(BY),
    "cancel": CancelOrder(BY),
    "ship": ShipOrder(BY, (Parcel("T1", "Colissimo"),)),
    "lost": LoseOrder(BY),
    "undelivered": UndeliverOrder(BY),
    "retry": RetryOrder(BY),
}
KINDS = (
    ActionKind.ACCEPT,
    ActionKind.CANCEL,
    ActionKind.SHIP,
    ActionKind.LOSE,
    ActionKind.UNDELIVER,
)


def orders() -> Iterator[Order]:
    """Every state with at most two actions under way or failed, with and without a problem."""
    problem = Problem("rejected", "no", "accept", NOW)
    for state in OrderState:
        order = reach(state).order
        for some in (*combinations(KINDS, 1), *combinations(KINDS, 2), ()):
            for status in (ActionStatus.PENDING, ActionStatus.FAILED):
                actions = dict.fromkeys(some, status)
                yield replace(order, actions=actions, problem=None)
                yield replace(order, actions=actions, problem=problem)


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_offered_is_done_and_what_is_not_changes_nothing(name: str) -> None:
    offered = 0
    for order in orders():
        try:
            changes = step(order, COMMANDS[name], context(product(stock=50), now=NOW))
        except Refused:
            assert name not in possible(order, settings()), order
            continue
        if name in possible(order, settings()):
            offered += 1
        else:
            assert not changes.actions or name == "cancel", order
    assert offered


def test_nothing_is_offered_where_nothing_is_sent() -> None:
    order = reach(OrderState.PENDING_MANUAL).order
    assert possible(order, settings()) >= {"accept", "refuse"}
    assert not possible(order, settings(active=False))
    assert not possible(order, settings(sync_level="stock_only"))
