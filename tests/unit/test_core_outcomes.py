"""What came of our own actions, and of publishing."""

import pytest

from statemachine.changes import EventType
from statemachine.facts import (
    AcceptOrder,
    ActionCarriedOut,
    ActionRejected,
    CancelOrder,
    Parcel,
    SettingsChanged,
    ShipOrder,
)
from statemachine.model import ActionKind, ActionStatus, OrderState
from tests.unit.builders import HOUR, NOW, SECOND, Story, line, only, product, reach

S = OrderState
E = EventType
ACCEPT, CANCEL, FETCH = ActionKind.ACCEPT, ActionKind.CANCEL, ActionKind.FETCH


@pytest.mark.parametrize("state", [S.NEW, S.PENDING_MANUAL])
def test_an_acceptance_carried_out_is_a_fact(state: S) -> None:
    story = reach(state)
    if state is S.PENDING_MANUAL:
        story.does(AcceptOrder("eve"))
    at = story.now
    story.does(ActionCarriedOut(ACCEPT, "eve"))
    assert (story.order.state, story.order.facts.status) == (S.ACCEPTED, 2)
    assert (story.order.changed_at, story.last.settled) == (at, {ACCEPT: "done"})
    assert story.told == [E.ORDER_ACCEPTED]
    (move,) = story.last.history
    assert (move.trigger, move.by, move.at) == ("accept", "eve", at)


@pytest.mark.parametrize("state", [S.NEW, S.PENDING_MANUAL, S.ACCEPTED, S.SYNCED])
def test_a_cancellation_carried_out_keeps_its_reason(state: S) -> None:
    story = reach(state).does(CancelOrder("eve"))
    story.does(ActionCarriedOut(CANCEL, "eve", reason="refused"))
    assert (story.order.state, story.order.facts.status) == (S.CANCELLED, 41)
    assert story.last.history[0].reason == "refused"
    assert story.told == [E.ORDER_CANCELLED]
    assert story.order.reserved == {}


def test_what_was_promised_with_the_decision_stays_promised_whatever_the_catalogue_says() -> None:
    story = Story(product("P", ean="10001"), product_id_attribute="ean").seen()
    story.changed(product("P", ean="other", reserved=1))
    story.carried_out(ACCEPT)
    assert (story.last.reserved, story.order.reserved) == ({}, {"P": 1})
    assert only(story.last, E.ORDER_ACCEPTED).data["order"]["items"][0]["product_id"] == "P"


@pytest.mark.parametrize("state", [S.ACCEPTED, S.SYNCED, S.SHIPPED, S.LOST, S.CANCELLED])
def test_an_outcome_that_was_seen_already_is_settled_and_nothing_more(state: S) -> None:
    story = reach(state).carried_out(ACCEPT)
    assert (story.last.settled, story.last.history, story.last.events) == (
        {ACCEPT: "done"},
        (),
        (),
    )
    assert story.order.state is state


def test_a_reading_from_before_the_outcome_is_stale() -> None:
    story = reach(S.NEW)
    before = story.now
    story.carried_out(ACCEPT)
    story.now = before
    story.seen(status=11)
    assert (story.last.stale, story.order.state) == (True, S.ACCEPTED)


def test_reading_an_order_again_settles_that_wish_only() -> None:
    story = reach(S.ACCEPTED).carried_out(FETCH)
    assert (story.last.settled, story.last.history, story.last.events) == ({FETCH: "done"}, (), ())


# --- rejected ------------------------------------------------------------------------------------


def test_a_rejected_acceptance_keeps_the_state_gives_back_and_calls_for_a_person() -> None:
    story = reach(S.NEW).does(ActionRejected(ACCEPT, "rejected", "-3: parameter missing"))
    assert (story.order.state, story.last.settled) == (S.NEW, {ACCEPT: "failed"})
    assert story.last.reserved == {"10001": -1}
    assert story.told == [E.ORDER_PROBLEM]
    assert only(story.last, E.ORDER_PROBLEM).data["problem"] == {
        "code": "rejected",
        "message": "-3: parameter missing",
        "action": "accept",
    }


def test_a_rejected_cancellation_leaves_an_accepted_order_its_units() -> None:
    story = reach(S.SYNCED).does(CancelOrder("eve"))
    story.does(ActionRejected(CANCEL, "rejected", "no"))
    assert (story.order.state, story.order.reserved) == (S.SYNCED, {"10001": 1})
    assert (story.last.settled, story.told) == ({CANCEL: "failed"}, [E.ORDER_PROBLEM])


def test_a_rejected_refusal_leaves_no_units_with_an_order_nobody_accepts() -> None:
    story = reach(S.NEW).does(CancelOrder("eve")).does(ActionRejected(CANCEL, "rejected", "no"))
    assert (story.order.state, story.order.reserved) == (S.NEW, {})
    assert story.last.reserved == {"10001": -1}


def test_a_rejected_reading_leaves_a_waiting_acceptance_its_units() -> None:
    story = reach(S.NEW).does(ActionRejected(ACCEPT, "rejected", "no")).does(AcceptOrder("eve"))
    story.seen(status=7).does(ActionRejected(FETCH, "not_found", "-6"))
    assert story.order.reserved == {"10001": 1}


@pytest.mark.parametrize(
    ("status", "settled", "state"),
    [(2, "done", S.ACCEPTED), (3, "done", S.SHIPPED), (41, "superseded", S.CANCELLED)],
)
def test_wrong_chronology_follows_what_was_read(status: int, settled: str, state: S) -> None:
    story = reach(S.NEW).seen(status=status)
    assert (story.order.state, story.last.settled) == (state, {ACCEPT: settled})
    story.does(ActionRejected(ACCEPT, "wrong_chronology", "-7"))
    assert (story.order.problem, story.last.touched) == (None, False)


def test_wrong_chronology_without_another_status_is_a_problem() -> None:
    story = reach(S.NEW).seen().does(ActionRejected(ACCEPT, "wrong_chronology", "-7"))
    assert story.order.problem is not None
    assert (story.order.problem.code, story.order.problem.action) == ("wrong_chronology", "accept")


def test_a_cancellation_that_comes_too_late_fails_with_a_problem() -> None:
    story = reach(S.SYNCED).does(CancelOrder("eve")).seen(status=3)
    assert (story.order.state, story.last.settled) == (S.SHIPPED, {CANCEL: "failed"})
    assert story.told == [E.ORDER_SHIPPED, E.ORDER_PROBLEM]
    assert only(story.last, E.ORDER_PROBLEM).data["problem"] == {
        "code": "wrong_chronology",
        "message": "too late to cancel: Spartoo says the order is shipped",
        "action": "cancel",
    }
    story.does(ActionRejected(CANCEL, "wrong_chronology", "-7"))
    assert (story.last.touched, story.told) == (False, [])


def test_a_waiting_cancellation_outlives_an_acceptance_in_the_back_office() -> None:
    story = reach(S.PENDING_MANUAL).does(CancelOrder("eve")).seen(status=2)
    assert story.order.state is S.ACCEPTED
    assert story.order.waits_for(CANCEL)


@pytest.mark.parametrize(
    ("kind", "status", "settled"),
    [(ACCEPT, 2, "done"), (ACCEPT, 41, "superseded"), (CANCEL, 41, "done")],
)
def test_a_problem_solved_in_the_back_office_is_over(
    kind: ActionKind, status: int, settled: str
) -> None:
    story = reach(S.NEW)
    if kind is CANCEL:
        story.does(CancelOrder("eve"))
    story.does(ActionRejected(kind, "rejected", "no")).seen(status=status)
    assert story.order.problem is None
    assert story.last.settled[kind] == settled


def test_a_rejection_of_what_is_not_wanted_any_more_is_passed_over() -> None:
    story = reach(S.NEW).does(CancelOrder("eve")).does(ActionRejected(ACCEPT, "rejected", "no"))
    assert (story.last.touched, story.order.problem) == (False, None)
    assert story.order.actions == {ACCEPT: ActionStatus.SUPERSEDED, CANCEL: ActionStatus.PENDING}


# --- published -----------------------------------------------------------------------------------


def test_the_broker_s_confirm_makes_it_synced_and_known_after_the_lag() -> None:
    story = reach(S.ACCEPTED, store_lag="30m")
    at = story.now
    story.published()
    assert (story.order.state, story.told) == (S.SYNCED, [E.ORDER_SYNCED])
    assert (story.order.published_at, story.order.known_at) == (at, at + HOUR / 2)
    assert [(m.trigger, m.by) for m in story.last.history] == [("sync", "broker")]
    assert story.last.reserved == {}
    assert not story.published().last.touched


@pytest.mark.parametrize("state", [S.SHIPPED, S.LOST, S.CANCELLED])
def test_a_confirm_that_comes_after_the_next_step_moves_nothing(state: S) -> None:
    statuses = {S.SHIPPED: [3], S.LOST: [3, 45], S.CANCELLED: [41]}[state]
    story = reach(S.ACCEPTED)
    for status in statuses:
        story.seen(status=status)
    at = story.now
    story.published()
    assert (story.order.state, story.last.history, story.told) == (state, (), [])
    assert story.order.published_at == at
    left = state is not S.CANCELLED  # what has left the store is known to it
    assert story.order.known_at == (NOW + len(story.steps[:2]) * SECOND if left else at + HOUR)


def test_with_acknowledged_the_confirm_is_only_noted() -> None:
    story = reach(S.ACCEPTED, synced_when="acknowledged")
    at = story.now
    story.published()
    assert (story.order.state, story.order.published_at, story.order.known_at) == (
        S.ACCEPTED,
        at,
        None,
    )
    assert story.told == []


def test_what_the_store_s_number_replaced_is_not_given_back_again() -> None:
    story = reach(S.SYNCED)
    story.replaced(product(stock=4, as_of=NOW + 2 * HOUR))
    story.seen(status=41)
    assert (story.order.state, story.last.reserved, story.moved) == (S.CANCELLED, {}, [])


def test_units_follow_the_items_only_until_the_moment_the_store_knows_the_order() -> None:
    for late, reserved in ((-SECOND, {"10001": 3}), (0 * SECOND, {"10001": 1})):
        story = reach(S.SYNCED)
        assert story.order.known_at is not None
        story.now = story.order.known_at + late
        story.seen(line(quantity=3))
        assert story.order.reserved == reserved


def test_a_stock_event_counts_what_the_step_moved_before() -> None:
    story = Story(product(), sync_level="stock_only").seen(line(quantity=2))
    story.changed(sync_level="orders_and_stock")
    story.does(SettingsChanged())
    events = [e.data for e in story.last.events if e.type is E.STOCK_CHANGED]
    assert [(e["delta"], e["available"]) for e in events] == [(2, 5), (-2, 3)]


def test_an_old_problem_is_over_once_the_action_has_succeeded() -> None:
    story = reach(S.SYNCED).does(ShipOrder("store", (Parcel("T-1", "DPD"),))).seen(status=11)
    assert E.ORDER_PROBLEM in story.told
    story.carried_out(ActionKind.SHIP)
    assert (story.order.state, story.order.problem) == (S.SHIPPED, None)


def test_a_failed_action_keeps_its_problem_through_a_passing_status() -> None:
    story = reach(S.SYNCED).does(ShipOrder("store", (Parcel("T-1", "DPD"),)))
    story.does(ActionRejected(ActionKind.SHIP, "rejected", "no such carrier"))
    story.seen(status=11)
    assert story.order.problem is not None
    assert story.order.problem.code == "rejected"
    story.seen(status=2)
    assert story.order.problem.code == "rejected"
