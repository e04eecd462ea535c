"""What a person or the store asks for: obeyed, queued once, or refused with what is possible."""

import itertools

import pytest

from statemachine.changes import EventType
from statemachine.facts import (
    AcceptOrder,
    AcknowledgeOrder,
    ActionRejected,
    CancelOrder,
    CatalogueChanged,
    Command,
    LoseOrder,
    Parcel,
    Refused,
    RefuseOrder,
    RetryOrder,
    ShipOrder,
    UndeliverOrder,
)
from statemachine.model import ActionKind, ActionStatus, OrderState
from statemachine.step import step
from tests.unit.builders import HOUR, ORDER_ID, SECOND, Story, line, product, reach

S = OrderState
E = EventType
ACCEPT, CANCEL, FETCH = ActionKind.ACCEPT, ActionKind.CANCEL, ActionKind.FETCH

ACCEPT_IT = AcceptOrder("eve")
REFUSE_IT = RefuseOrder("eve")
CANCEL_IT = CancelOrder("eve")
ACKNOWLEDGE_IT = AcknowledgeOrder("store", "S-1")
RETRY_IT = RetryOrder("eve")
SHIP_IT = ShipOrder("eve", (Parcel("T-1", "DPD"),))
LOSE_IT = LoseOrder("eve")
UNDELIVER_IT = UndeliverOrder("eve")
COMMANDS: list[Command] = [
    ACCEPT_IT,
    REFUSE_IT,
    CANCEL_IT,
    SHIP_IT,
    LOSE_IT,
    UNDELIVER_IT,
    ACKNOWLEDGE_IT,
    RETRY_IT,
]


def refusal(story: Story, command: Command) -> Refused:
    with pytest.raises(Refused) as refused:
        step(story.order, command, story.context())
    assert refused.value.message == str(refused.value)
    return refused.value


# --- in every state ------------------------------------------------------------------------------

UNDECIDED = {S.NEW, S.PENDING_MANUAL}
ALLOWED: dict[type[Command], set[S]] = {
    AcceptOrder: UNDECIDED,
    RefuseOrder: UNDECIDED,
    CancelOrder: UNDECIDED | {S.ACCEPTED, S.SYNCED},
    ShipOrder: {S.ACCEPTED, S.SYNCED, S.SHIPPED, S.LOST, S.UNDELIVERED},
    LoseOrder: {S.SHIPPED},
    UndeliverOrder: {S.SHIPPED},
    AcknowledgeOrder: set(S) - UNDECIDED,
    RetryOrder: {S.NEW},  # where an action waits
}
WANTED: dict[type[Command], str] = {
    AcceptOrder: "it cannot be accepted",
    RefuseOrder: "it cannot be refused",
    CancelOrder: "it cannot be cancelled",
    ShipOrder: "it cannot be shipped",
    LoseOrder: "it cannot be reported lost",
    UndeliverOrder: "it cannot be reported undelivered",
    AcknowledgeOrder: "it cannot be acknowledged",
    RetryOrder: "nothing to retry",
}
POSSIBLE = {
    S.NEW: "accept, refuse, cancel",
    S.PENDING_MANUAL: "accept, refuse, cancel",
    S.ACCEPTED: "acknowledge, ship, cancel",
    S.SYNCED: "acknowledge, ship, cancel",
    S.SHIPPED: "acknowledge, lost, undelivered",
    S.CANCELLED: "acknowledge",
    S.LOST: "acknowledge",
    S.UNDELIVERED: "acknowledge",
}


@pytest.mark.parametrize(("state", "command"), list(itertools.product(S, COMMANDS)))
def test_a_command_is_obeyed_or_refused_by_the_state(state: S, command: Command) -> None:
    story = reach(state)
    if state in ALLOWED[type(command)]:
        recorded = isinstance(command, ShipOrder) and state not in {S.ACCEPTED, S.SYNCED}
        expected = "done" if recorded or isinstance(command, AcknowledgeOrder) else "queued"
        assert story.does(command).last.answer == expected
        return
    refused = refusal(story, command)
    assert refused.code == "wrong_state"
    text = f"order {ORDER_ID} is {state}: {WANTED[type(command)]}"
    possible = "" if isinstance(command, RetryOrder) else f"; possible: {POSSIBLE[state]}"
    assert refused.message == text + possible


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disabled_connection_obeys_nothing(command: Command) -> None:
    story = reach(S.PENDING_MANUAL)
    story.changed(active=False)
    refused = refusal(story, command)
    assert refused.code == "connection_disabled"
    assert refused.message == "connection shoes-fr is disabled; activate it first"


@pytest.mark.parametrize("command", COMMANDS)
def test_stock_only_obeys_nothing(command: Command) -> None:
    refused = refusal(Story(product(), sync_level="stock_only").seen(), command)
    assert refused.code == "stock_only"
    assert refused.message == "connection shoes-fr synchronizes stock only (sync_level)"


@pytest.mark.parametrize("command", [ACCEPT_IT, REFUSE_IT, CANCEL_IT])
def test_the_same_command_again_while_its_action_waits_adds_nothing(command: Command) -> None:
    story = reach(S.PENDING_MANUAL).does(command)
    first = story.order
    story.does(command)
    assert (story.last.answer, story.last.actions, story.last.touched) == ("queued", (), False)
    assert story.order == first


# --- accepting -----------------------------------------------------------------------------------


def test_accepting_reserves_and_queues_and_is_told_only_when_carried_out() -> None:
    story = reach(S.PENDING_MANUAL).does(AcceptOrder("eve", reason="regular customer"))
    (action,) = story.last.actions
    assert (action.kind, action.by, action.reason) == (ACCEPT, "eve", "regular customer")
    assert (story.order.state, story.told) == (S.PENDING_MANUAL, [])
    assert story.moved == [("10001", -1, "order_accepted")]
    assert story.order.touched_by == "eve"
    story.carried_out(ACCEPT)
    assert (story.order.state, story.told, story.moved) == (S.ACCEPTED, [E.ORDER_ACCEPTED], [])


def test_a_person_may_accept_what_is_not_in_stock() -> None:
    story = reach(S.PENDING_MANUAL, product(stock=0)).does(ACCEPT_IT)
    assert story.products[product().id].shortfall == 1
    assert story.last.reserved == {"10001": 1}


def test_a_person_may_accept_what_is_unknown_and_nothing_is_reserved() -> None:
    story = reach(S.PENDING_MANUAL, product("other")).does(ACCEPT_IT)
    assert (story.last.reserved, story.order.reserved) == ({}, {})
    assert story.order.waits_for(ACCEPT)


def test_an_order_being_cancelled_cannot_be_accepted() -> None:
    refused = refusal(reach(S.PENDING_MANUAL).does(REFUSE_IT), ACCEPT_IT)
    assert refused.code == "wrong_state"
    assert refused.message == (
        f"order {ORDER_ID} is pending_manual and being cancelled; possible: nothing"
    )


# --- refusing and cancelling ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (RefuseOrder("eve"), "refused"),
        (RefuseOrder("eve", "no more shoes"), "no more shoes"),
        (CancelOrder("eve"), None),
        (CancelOrder("eve", "customer called"), "customer called"),
    ],
)
def test_the_reason_goes_with_the_action(command: Command, reason: str | None) -> None:
    (action,) = reach(S.PENDING_MANUAL).does(command).last.actions
    assert (action.kind, action.reason, action.by) == (CANCEL, reason, "eve")


@pytest.mark.parametrize("command", [REFUSE_IT, CANCEL_IT])
def test_refusing_supersedes_an_acceptance_that_waits(command: Command) -> None:
    story = reach(S.NEW).does(command)
    assert story.last.settled == {ACCEPT: "superseded"}
    assert [a.kind for a in story.last.actions] == [CANCEL]
    story.carried_out(CANCEL)
    assert story.told == [E.ORDER_CANCELLED]
    assert story.moved == [("10001", 1, "order_cancelled")]


def test_an_acceptance_that_was_on_its_way_when_refused_is_a_fact_and_then_cancelled() -> None:
    story = reach(S.NEW).does(REFUSE_IT).carried_out(ACCEPT).carried_out(CANCEL)
    assert story.path == [S.NEW, S.ACCEPTED, S.CANCELLED]
    assert story.products[product().id].reserved == 0


def test_cancelling_keeps_the_units_until_the_marketplace_has_agreed() -> None:
    story = reach(S.SYNCED).does(CANCEL_IT)
    assert (story.last.reserved, story.order.state) == ({}, S.SYNCED)
    story.carried_out(CANCEL)
    assert story.last.reserved == {"10001": -1}


def test_a_person_s_word_keeps_the_order_from_automatic_acceptance() -> None:
    story = reach(S.PENDING_MANUAL).does(REFUSE_IT)
    story.does(ActionRejected(CANCEL, "rejected", "no"))
    story.changed(auto_accept=True)
    story.does(CatalogueChanged())
    assert (story.last.touched, story.order.touched_by) == (False, "eve")


# --- acknowledging -------------------------------------------------------------------------------


def test_the_store_s_id_and_the_moment_are_kept_and_no_stock_moves() -> None:
    story = reach(S.SYNCED)
    at = story.now
    story.does(ACKNOWLEDGE_IT)
    order = story.order
    assert (order.store_order_id, order.acknowledged_at, order.known_at) == ("S-1", at, at)
    assert (story.last.reserved, story.last.events, order.reserved) == ({}, (), {"10001": 1})
    assert order.touched_by is None


def test_acknowledging_again_changes_nothing_another_id_only_the_id() -> None:
    story = reach(S.SYNCED).does(ACKNOWLEDGE_IT)
    first = story.order
    assert not story.does(ACKNOWLEDGE_IT).last.touched
    story.does(AcknowledgeOrder("store", "S-2"))
    assert (story.order.store_order_id, story.order.known_at) == ("S-2", first.known_at)


def test_a_late_acknowledgement_does_not_undo_what_the_lag_made_known() -> None:
    story = reach(S.SYNCED)
    known_at = story.order.known_at
    story.now += 2 * HOUR
    story.does(ACKNOWLEDGE_IT)
    assert story.order.known_at == known_at


@pytest.mark.parametrize("state", [S.SHIPPED, S.CANCELLED, S.LOST])
def test_acknowledging_late_in_life_is_recorded_and_moves_nothing(state: S) -> None:
    story = reach(state).does(ACKNOWLEDGE_IT)
    assert (story.order.state, story.last.history) == (state, ())
    assert story.order.store_order_id == "S-1"


def test_with_acknowledged_the_store_s_word_makes_it_synced() -> None:
    story = reach(S.ACCEPTED, synced_when="acknowledged").published()
    assert (story.order.state, story.order.known_at) == (S.ACCEPTED, None)
    story.does(ACKNOWLEDGE_IT)
    assert story.order.state is S.SYNCED
    assert [(m.trigger, m.by) for m in story.last.history] == [("sync", "store")]
    assert story.told == [E.ORDER_SYNCED]


def test_with_published_an_acknowledgement_does_not_forestall_the_broker() -> None:
    story = reach(S.ACCEPTED).does(ACKNOWLEDGE_IT)
    assert (story.order.state, story.told) == (S.ACCEPTED, [])
    known_at = story.order.known_at
    story.published()
    assert (story.order.state, story.order.known_at) == (S.SYNCED, known_at)


@pytest.mark.parametrize("first", ["published", "acknowledged"])
def test_an_order_is_synced_also_when_the_setting_changes_on_the_way(first: str) -> None:
    story = reach(S.ACCEPTED, synced_when=first)
    later = "published" if first == "acknowledged" else "acknowledged"
    if first == "acknowledged":
        story.published()
        story.changed(synced_when=later)
        story.does(ACKNOWLEDGE_IT)
    else:
        story.does(ACKNOWLEDGE_IT)
        story.changed(synced_when=later)
        story.published()
    assert story.order.state is S.SYNCED


# --- retrying ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ACCEPT, CANCEL])
def test_a_failed_action_is_tried_again_and_its_problem_is_over(kind: ActionKind) -> None:
    story = reach(S.PENDING_MANUAL).does(ACCEPT_IT if kind is ACCEPT else CANCEL_IT)
    story.does(ActionRejected(kind, "rejected", "no")).does(RETRY_IT)
    assert [(a.kind, a.by) for a in story.last.actions] == [(kind, "eve")]
    assert (story.order.problem, story.order.actions[kind]) == (None, ActionStatus.PENDING)
    assert story.order.reserved == ({"10001": 1} if kind is ACCEPT else {})


def test_retrying_twice_adds_nothing() -> None:
    story = reach(S.NEW).does(ActionRejected(ACCEPT, "rejected", "no")).does(RETRY_IT)
    story.does(RETRY_IT)
    assert (story.last.answer, story.last.actions, story.last.touched) == ("queued", (), False)


def test_retrying_a_cancellation_that_came_too_late_reads_the_order_once() -> None:
    story = reach(S.SYNCED).does(CANCEL_IT).seen(status=3)
    story.does(RETRY_IT)
    assert [a.kind for a in story.last.actions] == [FETCH]
    story.does(RETRY_IT)
    assert (story.last.answer, story.last.actions) == ("queued", ())


def test_only_the_last_wish_is_retried() -> None:
    refused_after_a_failure = reach(S.NEW)
    for fact in (ActionRejected(ACCEPT, "rejected", "no"), REFUSE_IT):
        refused_after_a_failure.does(fact)
    assert refused_after_a_failure.last.settled == {ACCEPT: "superseded"}
    refused_after_a_failure.does(ActionRejected(CANCEL, "rejected", "no")).does(RETRY_IT)
    assert [a.kind for a in refused_after_a_failure.last.actions] == [CANCEL]

    accepted_after_a_failure = reach(S.PENDING_MANUAL).does(CANCEL_IT)
    accepted_after_a_failure.does(ActionRejected(CANCEL, "rejected", "no")).does(ACCEPT_IT)
    accepted_after_a_failure.does(ActionRejected(ACCEPT, "rejected", "no")).does(RETRY_IT)
    assert [a.kind for a in accepted_after_a_failure.last.actions] == [ACCEPT]


# --- deciding again ------------------------------------------------------------------------------


def test_a_held_order_is_decided_again_when_its_products_change() -> None:
    story = Story(product(stock=0)).seen()
    story.changed(product(stock=1))
    story.does(CatalogueChanged())
    assert [(a.kind, a.by) for a in story.last.actions] == [(ACCEPT, "automatic")]
    assert story.moved == [("10001", -1, "order_accepted")]
    assert story.last.decided is story.order.decision
    assert story.order.decision is not None
    assert story.order.decision.at == story.now - SECOND
    story.does(CatalogueChanged())
    assert not story.last.touched


def test_new_figures_are_kept_without_a_word_though_the_order_still_waits() -> None:
    story = Story(product(stock=0)).seen(line(quantity=3))
    story.changed(product(stock=2))
    story.does(CatalogueChanged())
    assert story.order.decision is not None
    assert story.order.decision.checks[1].detail == "2 available, 3 ordered"
    assert (story.last.touched, story.last.events, story.last.actions) == (True, (), ())


def test_without_automatic_acceptance_the_reasons_stay_true_and_the_order_waits() -> None:
    story = Story(product(stock=0), auto_accept=False).seen()
    story.changed(product(stock=1))
    story.does(CatalogueChanged())
    assert story.order.decision is not None
    assert story.order.decision.reasons == ("auto_accept_off",)
    (told,) = story.last.events
    assert told.data["changes"] == [
        {
            "field": "decision.reasons",
            "old": ("auto_accept_off", "out_of_stock"),
            "new": ("auto_accept_off",),
        }
    ]
    assert (story.order.state, story.last.actions) == (S.PENDING_MANUAL, ())


def test_nothing_is_decided_again_where_stock_alone_is_synchronized() -> None:
    story = Story(product(stock=0)).seen()
    story.changed(product(stock=1), sync_level="stock_only")
    assert not story.does(CatalogueChanged()).last.touched


@pytest.mark.parametrize("state", sorted(set(S) - {S.PENDING_MANUAL}))
def test_only_a_pending_order_is_decided_again(state: S) -> None:
    story = reach(state)
    story.changed(product(stock=99))
    assert not story.does(CatalogueChanged()).last.touched


def test_what_the_marketplace_rejected_is_not_tried_again_by_itself() -> None:
    story = Story(product(stock=0)).seen()
    story.changed(product(stock=1))
    story.does(CatalogueChanged()).does(ActionRejected(ACCEPT, "rejected", "no"))
    story.changed(product(stock=2))
    assert not story.does(CatalogueChanged()).last.touched
