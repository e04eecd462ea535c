"""What the marketplace says moves the order: first sight, unseen steps, changes, contradictions."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from statemachine.changes import EventType
from statemachine.facts import (
    RetryOrder,
    Seen,
    UnknownStatus,
)
from statemachine.model import ActionKind, ActionStatus, Address, OrderState, Relay
from statemachine.step import first_sight
from tests.unit.builders import (
    HOME,
    HOUR,
    NOW,
    SECOND,
    Story,
    context,
    line,
    marketplace_order,
    only,
    product,
    reach,
)

S = OrderState
E = EventType
ACCEPT, CANCEL, FETCH = ActionKind.ACCEPT, ActionKind.CANCEL, ActionKind.FETCH

# --- first sight ---------------------------------------------------------------------------------

FIRST_SIGHT = {
    11: [S.NEW],
    2: [S.NEW, S.ACCEPTED],
    3: [S.NEW, S.ACCEPTED, S.SHIPPED],
    41: [S.NEW, S.CANCELLED],
    45: [S.NEW, S.ACCEPTED, S.SHIPPED, S.LOST],
    47: [S.NEW, S.ACCEPTED, S.SHIPPED, S.UNDELIVERED],
}
EVENT = {state: EventType(f"order.{state}") for state in S}


@pytest.mark.parametrize(("status", "states"), list(FIRST_SIGHT.items()))
def test_an_order_first_seen_walks_to_its_status(status: int, states: list[S]) -> None:
    story = Story(product()).seen(status=status)
    assert story.last.created
    assert story.path == states
    assert story.told == [EVENT[state] for state in states]
    assert story.order.facts.status == status
    assert story.order.problem is None


@pytest.mark.parametrize("status", [3, 45, 47])
def test_what_had_left_before_it_was_seen_takes_no_stock(status: int) -> None:
    story = Story(product()).seen(line(quantity=2), status=status)
    assert (story.last.reserved, story.moved) == ({}, [])
    assert story.order.products == {1: "10001"}


def test_what_was_accepted_elsewhere_is_reserved() -> None:
    story = Story(product()).seen(line(quantity=2), status=2)
    assert story.last.reserved == {"10001": 2}
    assert story.moved == [("10001", -2, "order_accepted")]
    assert story.last.actions == ()
    assert story.order.decision is None


def test_an_order_first_seen_cancelled_touches_no_stock() -> None:
    story = Story(product()).seen(status=41)
    assert (story.last.reserved, story.moved) == ({}, [])


def test_a_good_order_is_reserved_and_its_acceptance_queued_but_not_yet_told() -> None:
    story = Story(product()).seen(line(quantity=2))
    assert [(a.kind, a.by) for a in story.last.actions] == [(ACCEPT, "automatic")]
    assert story.order.actions == {ACCEPT: ActionStatus.PENDING}
    assert story.order.reserved == story.last.reserved == {"10001": 2}
    assert story.told == [E.ORDER_NEW]
    assert story.moved == [("10001", -2, "order_accepted")]
    assert story.last.decided is story.order.decision is not None


def test_a_doubtful_order_waits_for_a_person() -> None:
    story = Story(product(stock=0)).seen()
    assert story.path == [S.NEW, S.PENDING_MANUAL]
    assert story.told == [E.ORDER_NEW, E.ORDER_PENDING_MANUAL]
    assert story.last.history[1].trigger == "hold"
    assert story.last.actions == ()
    assert story.last.reserved == {}


def test_two_orders_never_share_the_last_unit() -> None:
    last_unit = context(product(stock=1))
    outcomes = []
    for name in ("A", "B"):
        changes = first_sight(Seen(marketplace_order(order_id=name), NOW), last_unit)
        last_unit.catalogue.adjust(changes.reserved)
        outcomes.append(changes.order.decision and changes.order.decision.outcome)
    assert outcomes == ["accept", "hold"]


@pytest.mark.parametrize("sync_level", ["orders_and_stock", "stock_only"])
def test_an_order_first_seen_in_an_unknown_status_is_not_guessed(sync_level: str) -> None:
    with pytest.raises(UnknownStatus, match="orders_status_id is 7; known are 11, 2, 3, 41"):
        Story(product(), sync_level=sync_level).seen(status=7)


@pytest.mark.parametrize(
    ("status", "states"),
    [
        (11, [S.NEW, S.SYNCED]),
        (2, [S.NEW, S.SYNCED]),
        (3, [S.NEW, S.SYNCED, S.SHIPPED]),
        (41, [S.NEW, S.CANCELLED]),
        (45, [S.NEW, S.SYNCED, S.SHIPPED, S.LOST]),
        (47, [S.NEW, S.SYNCED, S.SHIPPED, S.UNDELIVERED]),
    ],
)
def test_stock_only_records_silently_and_moves_the_stock(status: int, states: list[S]) -> None:
    story = Story(product(), sync_level="stock_only").seen(status=status)
    sold = status in {11, 2}
    assert story.path == states
    assert story.told == []
    assert story.moved == ([("10001", -1, "marketplace_order")] if sold else [])
    assert story.last.actions == ()
    assert story.order.problem is None
    assert story.order.known_at == (NOW + HOUR if sold else None if status == 41 else NOW)


def test_stock_only_follows_an_order_to_its_end_without_a_word() -> None:
    story = Story(product(), sync_level="stock_only").seen(line(quantity=2)).seen(status=2)
    assert (story.last.history, story.order.problem) == ((), None)
    story.seen(status=41)
    assert story.path == [S.NEW, S.SYNCED, S.CANCELLED]
    assert story.moved == [("10001", 2, "order_cancelled")]
    assert all(e.type is E.STOCK_CHANGED for changes in story.steps for e in changes.events)


def test_an_order_recorded_under_stock_only_is_no_contradiction_once_orders_are_synced() -> None:
    story = Story(product(), sync_level="stock_only").seen()
    story.changed(sync_level="orders_and_stock")
    story.seen(shipping_address=HOME)
    assert (story.order.problem, story.told) == (None, [E.ORDER_CHANGED])
    story.seen(status=2).seen(status=3)
    assert story.path == [S.NEW, S.SYNCED, S.SHIPPED]


def test_an_acceptance_that_waits_when_orders_become_stock_only_is_not_wanted_any_more() -> None:
    story = Story(product()).seen()
    story.changed(sync_level="stock_only")
    story.seen(modified_at=NOW)
    assert story.last.settled == {ACCEPT: "superseded"}
    assert story.order.state is S.SYNCED


# --- later looks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status", "walked"),
    [
        (S.PENDING_MANUAL, 2, [S.ACCEPTED]),
        (S.PENDING_MANUAL, 3, [S.ACCEPTED, S.SHIPPED]),
        (S.PENDING_MANUAL, 47, [S.ACCEPTED, S.SHIPPED, S.UNDELIVERED]),
        (S.NEW, 45, [S.ACCEPTED, S.SHIPPED, S.LOST]),
        (S.NEW, 41, [S.CANCELLED]),
        (S.ACCEPTED, 3, [S.SHIPPED]),
        (S.SYNCED, 45, [S.SHIPPED, S.LOST]),
        (S.SYNCED, 41, [S.CANCELLED]),
        (S.SHIPPED, 45, [S.LOST]),
        (S.SHIPPED, 47, [S.UNDELIVERED]),
    ],
)
def test_unseen_steps_are_walked_one_by_one(state: S, status: int, walked: list[S]) -> None:
    story = reach(state).seen(status=status)
    assert [move.to_state for move in story.last.history] == walked
    assert [move.by for move in story.last.history] == ["marketplace"] * len(walked)
    assert story.told == [EVENT[to_state] for to_state in walked]


@pytest.mark.parametrize("state", S)
def test_an_unchanged_reading_changes_nothing(state: S) -> None:
    story = reach(state).seen()
    assert not story.last.touched
    assert not story.last.stale
    assert story.last.events == ()


def test_a_new_modification_time_alone_is_stored_without_a_word() -> None:
    story = reach(S.ACCEPTED).seen(modified_at=NOW)
    assert story.last.touched
    assert (story.last.events, story.last.history) == ((), ())


@pytest.mark.parametrize("age", [timedelta(0), SECOND])
def test_a_reading_not_newer_than_what_is_known_is_stale(age: timedelta) -> None:
    story = reach(S.ACCEPTED)
    old = Seen(replace(story.order.facts, status=11), read_at=story.order.changed_at - age)
    story.does(old)
    assert (story.last.stale, story.last.touched, story.last.events) == (True, False, ())
    assert story.order.state is S.ACCEPTED


def test_a_cancelled_order_gives_its_units_back() -> None:
    story = Story(product()).seen(line(1, quantity=2), line(2, quantity=1)).seen(status=41)
    assert story.last.reserved == {"10001": -3}
    assert story.moved == [("10001", 3, "order_cancelled")]
    assert story.last.settled == {ACCEPT: "superseded"}
    assert story.order.reserved == {}


def test_an_acceptance_seen_settles_the_one_that_waits_and_reserves_once() -> None:
    story = Story(product()).seen().seen(status=2)
    assert story.last.settled == {ACCEPT: "done"}
    assert (story.last.reserved, story.order.reserved) == ({}, {"10001": 1})


def test_accepting_in_the_back_office_without_stock_makes_a_shortfall() -> None:
    story = Story(product(stock=1)).seen(line(quantity=3)).seen(status=2)
    assert story.last.reserved == {"10001": 3}
    assert only(story.last, E.STOCK_CHANGED).data["shortfall"] == 2


def test_the_accepted_event_names_a_product_that_came_after_the_order() -> None:
    story = Story(auto_accept=False).seen()
    story.changed(product())
    story.seen(status=2)
    items = only(story.last, E.ORDER_ACCEPTED).data["order"]["items"]
    assert [item["product_id"] for item in items] == ["10001"]


# --- contradictions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status", "message"),
    [
        (S.SYNCED, 11, "Spartoo says status 11, but the order is synced here"),
        (S.SHIPPED, 2, "Spartoo says status 2, but the order is shipped here"),
        (S.SHIPPED, 41, "Spartoo says status 41, but the order is shipped here"),
        (S.CANCELLED, 11, "Spartoo says status 11, but the order is cancelled here"),
        (S.NEW, 7, "Spartoo says status 7, which is not known here"),
    ],
)
def test_an_unexpected_status_is_a_problem_told_once(state: S, status: int, message: str) -> None:
    story = reach(state).seen(status=status)
    assert story.order.state is state
    problem = only(story.last, E.ORDER_PROBLEM).data["problem"]
    assert problem == {"code": "unexpected_status", "message": message, "action": None}
    story.seen()
    assert (story.last.events, story.last.touched) == ((), False)
    story.seen(modified_at=NOW)
    assert story.last.events == ()
    assert story.order.problem is not None


@pytest.mark.parametrize("status", [45, 47])
def test_a_parcel_that_was_lost_or_came_back_is_refunded(status: int) -> None:
    story = reach(S.SHIPPED).seen(status=status).seen(status=41)
    assert (story.order.state, story.order.problem) == (S.CANCELLED, None)
    assert story.told == [E.ORDER_CANCELLED]


def test_another_unexpected_status_is_told_again() -> None:
    story = reach(S.SHIPPED).seen(status=2).seen(status=7)
    assert story.told == [E.ORDER_PROBLEM]


def test_the_problem_is_over_when_the_status_makes_sense_again() -> None:
    story = reach(S.SHIPPED).seen(status=2).seen(status=3)
    assert (story.order.problem, story.told) == (None, [])
    story = reach(S.SHIPPED).seen(status=2).seen(status=45)
    assert (story.order.problem, story.told) == (None, [E.ORDER_LOST])


def test_retrying_an_unexpected_status_reads_again_and_tells_again() -> None:
    story = reach(S.SHIPPED).seen(status=2).does(RetryOrder("eve"))
    assert ([a.kind for a in story.last.actions], story.order.problem) == ([FETCH], None)
    story.seen()
    assert story.told == [E.ORDER_PROBLEM]


def test_stock_only_has_problems_but_no_problem_events() -> None:
    story = Story(product(), sync_level="stock_only").seen(status=3).seen(status=2)
    assert story.order.problem is not None
    assert story.last.events == ()


# --- changes of content --------------------------------------------------------------------------

RELAY = Relay(id="7", name="Kiosk")


def change(field: str, old: object, new: object) -> dict[str, object]:
    return {"field": field, "old": old, "new": new}


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({"shipping_address": HOME}, [
            change("shipping_address.street", "2 quai Perrache", "1 rue de la Paix"),
            change("shipping_address.city", "Lyon", "Paris"),
            change("shipping_address.postcode", "69002", "75002"),
        ]),
        ({"total": Decimal("60.00")}, [change("total", Decimal("64.99"), Decimal("60.00"))]),
        ({"shipping_service": "DPD"}, [change("shipping_service", "Colissimo", "DPD")]),
        ({"relay": RELAY}, [change("relay", None, {
            "id": "7", "type": "", "name": "Kiosk", "address": "", "city": "", "postcode": "",
            "country": "",
        })]),
        ({"total": Decimal("64.990")}, []),
        ({"modified_at": None}, []),
    ],
)  # fmt: skip
def test_what_changed_on_the_marketplace_is_told_field_by_field(
    given: dict[str, object], changes: list[dict[str, object]]
) -> None:
    story = reach(S.ACCEPTED).seen(**given)
    told = [e for e in story.last.events if e.type is E.ORDER_CHANGED]
    assert [e.data["changes"] for e in told] == ([changes] if changes else [])
    assert all("transition" not in e.data for e in told)


def test_a_relay_taken_away_and_other_customer_details_are_told() -> None:
    story = Story(product()).seen(relay=RELAY)
    story.seen(relay=None, billing_address=Address(first_name="Bob"))
    fields = [c["field"] for c in only(story.last, E.ORDER_CHANGED).data["changes"]]
    assert fields == [
        "billing_address.first_name",
        "billing_address.street",
        "billing_address.city",
        "billing_address.postcode",
        "billing_address.country",
        "relay",
    ]


def test_a_change_with_a_new_status_is_told_before_the_move() -> None:
    story = reach(S.ACCEPTED).seen(status=3, shipping_address=HOME)
    assert story.told == [E.ORDER_CHANGED, E.ORDER_SHIPPED]


def test_other_items_are_told_with_their_products() -> None:
    story = Story(product(), product("2"), auto_accept=False).seen().seen(line(1, "2"))
    data = only(story.last, E.ORDER_CHANGED).data
    assert [c["field"] for c in data["changes"]] == ["items"]
    assert data["changes"][0]["old"][0]["reference"] == "10001"
    assert data["order"]["items"][0]["product_id"] == "2"


def test_what_is_promised_follows_the_items_of_an_accepted_order() -> None:
    story = reach(S.ACCEPTED, product(), product("2")).seen(line(1, quantity=3), line(2, "2"))
    assert story.order.reserved == {"10001": 3, "2": 1}
    assert story.moved == [
        ("10001", -2, "marketplace_order"),
        ("2", -1, "marketplace_order"),
    ]
    story.seen(line(2, "2"))
    assert story.last.reserved == {"10001": -3}
    story.seen(status=41)
    assert [held.reserved for held in story.products.values()] == [0, 0]


def test_what_the_store_knows_does_not_follow_the_items() -> None:
    story = reach(S.SYNCED)
    story.now += HOUR
    story.seen(line(quantity=3))
    assert (story.last.reserved, story.order.reserved) == ({}, {"10001": 1})


def test_an_automatic_acceptance_is_withdrawn_when_the_new_items_do_not_pass() -> None:
    story = Story(product(stock=1)).seen().seen(line(quantity=2))
    assert story.order.state is S.PENDING_MANUAL
    assert story.last.settled == {ACCEPT: "superseded"}
    assert story.last.reserved == {"10001": -1}
    assert story.order.decision is not None
    assert story.order.decision.checks[1].detail == "1 available, 2 ordered"
    assert story.told == [E.ORDER_CHANGED, E.ORDER_PENDING_MANUAL]


def test_an_automatic_acceptance_stands_when_the_new_items_pass_too() -> None:
    story = Story(product(stock=2)).seen().seen(line(quantity=2))
    assert story.order.waits_for(ACCEPT)
    assert story.last.actions == ()
    assert story.last.reserved == {"10001": 1}


def test_new_items_of_a_held_order_are_decided_on() -> None:
    story = Story(product(stock=1)).seen(line(quantity=2)).seen(line(quantity=1))
    assert [a.kind for a in story.last.actions] == [ACCEPT]
    assert story.order.reserved == {"10001": 1}
