"""Every field of what a step leaves: who, when, why, and in which words."""

from datetime import timedelta
from decimal import Decimal

import pytest

from statemachine.changes import EventType
from statemachine.events import problem_event
from statemachine.facts import (
    AcceptOrder,
    ActionRejected,
    CancelOrder,
    CatalogueChanged,
    Command,
    LoseOrder,
    Parcel,
    RetryOrder,
    ShipOrder,
    UndeliverOrder,
)
from statemachine.model import ActionKind, ActionStatus, OrderState, ShippedItem
from statemachine.possible import possible
from statemachine.privacy import without_person
from tests.unit.builders import ORDER_ID, SECOND, Story, line, only, product, reach, settings

S = OrderState
E = EventType
SHIP = ShipOrder("eve", (Parcel("T-1", "DPD"),))
WISHES = [
    pytest.param(S.PENDING_MANUAL, AcceptOrder("eve"), ActionKind.ACCEPT, id="accept"),
    pytest.param(S.SYNCED, CancelOrder("eve", "gone"), ActionKind.CANCEL, id="cancel"),
    pytest.param(S.SYNCED, SHIP, ActionKind.SHIP, id="ship"),
    pytest.param(S.SHIPPED, LoseOrder("eve", "gone"), ActionKind.LOSE, id="lose"),
    pytest.param(S.SHIPPED, UndeliverOrder("eve", "gone"), ActionKind.UNDELIVER, id="undeliver"),
]


@pytest.mark.parametrize(("state", "command", "kind"), WISHES)
def test_a_wish_is_by_whom_it_was_given_and_ends_an_old_problem(
    state: S, command: Command, kind: ActionKind
) -> None:
    story = reach(state).does(command)
    (action,) = story.last.actions
    assert (action.kind, action.by) == (kind, "eve")
    assert action.reason == getattr(command, "reason", None)
    assert story.order.touched_by == "eve"
    moment = story.now
    story.does(ActionRejected(kind, "rejected", "no"))
    problem = story.order.problem
    assert problem is not None
    assert (problem.code, problem.message, problem.action) == ("rejected", "no", kind)
    assert problem.at == moment
    assert only(story.last, E.ORDER_PROBLEM).time == moment
    story.does(command)
    assert story.order.problem is None


@pytest.mark.parametrize(("state", "command", "kind"), WISHES)
def test_a_wish_given_twice_is_queued_once_and_stays_the_first_one_s(
    state: S, command: Command, kind: ActionKind
) -> None:
    story = reach(state).does(command)
    before = story.order
    assert story.does(command).last.actions == ()
    assert story.order == before
    assert before.actions[kind] is ActionStatus.PENDING


@pytest.mark.parametrize(("state", "command", "kind"), WISHES)
def test_a_retry_is_by_whom_it_was_given(state: S, command: Command, kind: ActionKind) -> None:
    story = reach(state).does(command).does(ActionRejected(kind, "rejected", "no"))
    story.does(RetryOrder("ada"))
    assert (story.order.touched_by, story.order.problem) == ("ada", None)
    assert [(action.kind, action.by) for action in story.last.actions] == [(kind, "ada")]


def test_the_other_report_is_given_up_once_it_has_failed() -> None:
    story = reach(S.SHIPPED).does(LoseOrder("eve"))
    story.does(ActionRejected(ActionKind.LOSE, "rejected", "no")).does(UndeliverOrder("ada"))
    assert story.order.actions[ActionKind.LOSE] is ActionStatus.SUPERSEDED
    assert story.order.actions[ActionKind.UNDELIVER] is ActionStatus.PENDING


def test_a_failed_cancellation_is_given_up_by_shipping() -> None:
    story = reach(S.SYNCED).does(CancelOrder("eve"))
    story.does(ActionRejected(ActionKind.CANCEL, "rejected", "no")).does(SHIP)
    assert story.order.actions[ActionKind.CANCEL] is ActionStatus.SUPERSEDED


def test_parcels_of_a_part_are_told_as_a_change_with_old_and_new() -> None:
    story = reach(S.SYNCED).does(CatalogueChanged())
    story.seen(line(quantity=2))
    moment = story.now
    story.does(ShipOrder("eve", (Parcel("T-1", "dpd", (ShippedItem(1, 1),)),)))
    event = only(story.last, E.ORDER_CHANGED)
    assert event.time == moment
    (change,) = event.data["changes"]
    assert (change["field"], change["old"]) == ("shipments", ())
    (parcel,) = change["new"]
    assert (parcel.tracking_number, parcel.shipping_service) == ("T-1", "DPD")
    assert parcel.store_shipping_service == "dpd"


def test_stock_that_is_given_back_says_why() -> None:
    story = reach(S.NEW).does(ActionRejected(ActionKind.ACCEPT, "rejected", "no"))
    assert story.moved == [("10001", 1, "order_cancelled")]
    items = Story(product()).seen()
    items.seen(line(price=Decimal("1.00")))
    assert items.moved == [("10001", 1, "order_cancelled")]
    assert items.order.decision is not None
    assert items.order.decision.at == items.now - SECOND


def test_a_review_with_the_same_outcome_is_no_news() -> None:
    story = Story(product(stock=0)).seen()
    before = story.order.decision
    story.does(CatalogueChanged())
    assert story.order.decision == before
    assert not story.last.touched


def test_an_order_without_a_problem_has_no_problem_event() -> None:
    story = reach(S.SYNCED)
    with pytest.raises(ValueError, match=r"^an order without a problem has no problem event$"):
        problem_event(story.order, settings(), story.now)


def test_an_erased_change_keeps_the_country_and_nothing_instead_of_nothing() -> None:
    home = {"street": "Rue A", "country": "France", "other": None}
    blank = {"street": "", "country": "France", "other": None}
    change = {"field": "shipping_address", "old": home, "new": None}
    assert without_person(change) == {"field": "shipping_address", "old": blank, "new": None}
    within = {"customer": {"name": {"country": "France"}}}
    assert without_person(within) == {"customer": {"name": {"country": ""}}}


def test_a_changed_order_is_told_at_the_moment_of_the_step() -> None:
    story = reach(S.SYNCED)
    moment = story.now
    story.seen(shipping_service="DPD")
    event = only(story.last, E.ORDER_CHANGED)
    assert (event.time, event.subject) == (moment, ORDER_ID)
    assert story.now - moment == timedelta(seconds=1)


@pytest.mark.parametrize("state", S)
def test_reading_an_order_again_is_always_offered(state: S) -> None:
    assert "fetch" in possible(reach(state).order, settings())


def test_a_shipping_or_cancelling_order_is_not_offered_a_cancellation() -> None:
    assert "cancel" in possible(reach(S.SYNCED).order, settings())
    assert "cancel" not in possible(reach(S.SYNCED).does(SHIP).order, settings())
    assert "cancel" not in possible(reach(S.SYNCED).does(CancelOrder("eve")).order, settings())
    again = reach(S.PENDING_MANUAL).does(AcceptOrder("eve"))
    assert "accept" not in possible(again.order, settings())


def test_an_order_recorded_for_its_stock_is_recorded_by_the_marketplace() -> None:
    story = Story(product(), sync_level="stock_only").seen(status=3)
    assert [move.by for move in story.last.history] == ["marketplace"] * len(story.path)


def test_a_parcel_that_has_left_keeps_its_moment() -> None:
    story = reach(S.SYNCED).does(SHIP).carried_out(ActionKind.SHIP)
    (first,) = story.order.shipments
    assert first.shipped_at is not None
    story.does(ShipOrder("eve", (Parcel("T-2", "DPD"),)))
    for parcel in story.order.shipments:
        assert parcel.shipped_at is not None
