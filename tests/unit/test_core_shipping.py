"""Shipping: which service, which parcels, and what becomes of the order."""

import pytest

from statemachine.facts import (
    AcceptedPublished,
    ActionCarriedOut,
    ActionRejected,
    CancelOrder,
    Fact,
    LoseOrder,
    Parcel,
    Refused,
    RetryOrder,
    ShipOrder,
    UndeliverOrder,
    leaves_stock_alone,
)
from statemachine.model import ActionKind, ActionStatus, OrderState, ShippedItem
from statemachine.shipping import allowed_service, units_shipped
from statemachine.step import step
from tests.unit.builders import NOW, SECOND, Story, context, line, product, reach, settings

S = OrderState
SHIP = ActionKind.SHIP


def ship(*parcels: Parcel) -> ShipOrder:
    return ShipOrder("store", parcels or (Parcel("T-1", "DPD"),))


def two_lines() -> Story:
    """An accepted order of one shoe of line 1 and two of line 2."""
    lines = line(1, "10001"), line(2, "10002", quantity=2)
    story = Story(product("10001", stock=9), product("10002", stock=9)).seen(*lines)
    return story.does(ActionCarriedOut(ActionKind.ACCEPT, "automatic"))


def event_types(story: Story) -> list[str]:
    return [str(event.type) for event in story.last.events]


# --- services ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "service"),
    [
        ("Mondial Relay", "Mondial Relay"),
        ("mondial-relay", "Mondial Relay"),
        ("MONDIALRELAY", "Mondial Relay"),
        ("Colíssimo", "Colissimo"),
        ("Post parcel", "La Poste"),
        ("POST  PARCEL", "La Poste"),
    ],
)
def test_names_are_matched_without_case_accents_or_spacing_and_by_alias(
    asked: str, service: str
) -> None:
    known = settings(
        shipping_services=("Colissimo", "Mondial Relay", "La Poste"),
        shipping_aliases={"post parcel": "la poste"},
    )
    assert allowed_service(asked, known) == service


def test_an_unknown_service_is_the_default() -> None:
    assert (
        allowed_service(
            "Pigeon", settings(default_shipping_service="dpd", shipping_services=("DPD",))
        )
        == "DPD"
    )


def test_an_unknown_service_without_default_is_refused_with_the_allowed_names() -> None:
    with pytest.raises(Refused) as refused:
        allowed_service("Pigeon", settings(shipping_services=("DPD", "GLS")))
    assert refused.value.code == "no_shipping_service"
    assert "'Pigeon'" in refused.value.message
    assert refused.value.message.endswith("allowed: DPD, GLS")


@pytest.mark.parametrize(
    ("asked", "service"),
    [
        ("BRT 1", "BRT 1"),
        ("brt-1", "BRT 1"),
        ("UPS Standard", "UPS"),
        ("Mondial Relay - Point Relais", "Mondial Relay"),
        ("MondialRelay Point", "Mondial Relay"),
        ("Poste Italiane", "Poste Italiane"),
        ("Pigeon Post", "Pigeon Post"),
        ("", ""),
    ],
)
def test_a_learnt_list_refuses_nothing(asked: str, service: str) -> None:
    assert allowed_service(asked, settings(site="it"), ["BRT 1"]) == service


def test_the_default_stands_for_what_a_learnt_list_lacks() -> None:
    known = settings(default_shipping_service="Colissimo")
    assert allowed_service("Pigeon Post", known) == "Colissimo"


def test_the_most_words_decide_and_a_written_list_goes_word_by_word_too() -> None:
    known = settings(shipping_services=("Correos", "Correos Express"))
    assert allowed_service("Correos Express Baleares", known) == "Correos Express"
    assert allowed_service("correos certificado", known) == "Correos"
    with pytest.raises(Refused):
        allowed_service("Correosexpressx", known)


def test_the_orders_own_service_is_known_and_another_name_is_told() -> None:
    story = reach(S.SYNCED).seen(shipping_service="BRT 1", modified_at=NOW)
    story.does(ship(Parcel("T-1", "brt 1 Express")))
    assert story.order.shipments[0].shipping_service == "BRT 1"
    assert story.last.note == "'brt 1 Express' is kept as the service 'BRT 1'"


# --- one parcel ----------------------------------------------------------------------------------


def test_shipping_waits_for_the_marketplace() -> None:
    story = reach(S.SYNCED).does(ship())
    assert (story.order.state, story.last.answer) == (S.SYNCED, "queued")
    assert [action.kind for action in story.last.actions] == [SHIP]
    (shipment,) = story.order.shipments
    assert (shipment.tracking_number, shipment.shipping_service) == ("T-1", "DPD")
    assert shipment.shipped_at is None


def test_the_order_is_shipped_when_the_marketplace_says_so() -> None:
    story = reach(S.SYNCED).does(ship()).does(ActionCarriedOut(SHIP, "store"))
    assert story.order.state is S.SHIPPED
    assert story.order.facts.status == 3
    assert event_types(story) == ["order.shipped"]
    assert story.order.shipments[0].shipped_at is not None
    assert story.last.events[0].data["order"]["shipments"] == story.order.shipments


def test_the_same_number_again_adds_nothing() -> None:
    story = reach(S.SYNCED).does(ship()).does(ship())
    assert (story.last.answer, story.last.touched) == ("queued", False)
    story.does(ActionCarriedOut(SHIP, "store")).does(ship())
    assert (story.last.answer, story.last.touched) == ("done", False)


def test_parcels_of_the_whole_order_are_told_with_the_shipment() -> None:
    story = reach(S.SYNCED).does(ship())
    assert event_types(story) == []
    story.does(ActionCarriedOut(SHIP, "store"))
    assert event_types(story) == ["order.shipped"]
    (shipment,) = story.last.events[0].data["order"]["shipments"]
    assert shipment.tracking_number == "T-1"


def test_another_number_after_shipping_corrects_the_record() -> None:
    story = reach(S.SYNCED).does(ship()).does(ActionCarriedOut(SHIP, "store"))
    story.does(ship(Parcel("T-2", "GLS")))
    assert story.last.answer == "done"
    assert story.last.actions == ()
    assert [s.tracking_number for s in story.order.shipments] == ["T-2"]
    assert event_types(story) == ["order.changed"]
    assert story.last.note is not None
    assert "Spartoo keeps the first tracking number" in story.last.note
    assert "T-1" in story.last.note


def test_another_number_before_it_was_sent_is_the_one_that_is_sent() -> None:
    story = reach(S.SYNCED).does(ship()).does(ship(Parcel("T-2", "GLS")))
    assert (story.last.answer, story.last.actions) == ("queued", ())
    assert [s.tracking_number for s in story.order.shipments] == ["T-2"]


# --- several parcels -----------------------------------------------------------------------------


def test_the_order_is_shipped_only_when_every_unit_is_in_a_parcel() -> None:
    story = two_lines()
    story.does(ship(Parcel("T-1", "DPD", (ShippedItem(1, 1), ShippedItem(2, 1)))))
    assert (story.last.answer, story.last.actions) == ("done", ())
    assert event_types(story) == ["order.changed"]
    story.does(ship(Parcel("T-2", "DPD", (ShippedItem(2, 1),))))
    assert [action.kind for action in story.last.actions] == [SHIP]
    assert [s.tracking_number for s in story.order.shipments] == ["T-1", "T-2"]


def test_a_parcel_without_items_holds_the_rest() -> None:
    story = two_lines()
    first = Parcel("T-1", "DPD", (ShippedItem(2, 1),))
    story.does(ship(first, Parcel("T-2", "DPD")))
    assert story.order.shipments[1].items == (ShippedItem(1, 1), ShippedItem(2, 1))
    assert story.last.answer == "queued"


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ((ShippedItem(3, 1),), "1 units of line 3, 0 of it are left to ship"),
        ((ShippedItem(2, 3),), "3 units of line 2, 2 of it are left to ship"),
        ((ShippedItem(2, 2), ShippedItem(2, 1)), "3 units of line 2, 2 of it are left to ship"),
    ],
)
def test_items_that_were_not_ordered_are_refused(items: tuple[ShippedItem, ...], said: str) -> None:
    story = two_lines()
    with pytest.raises(Refused) as refused:
        step(story.order, ship(Parcel("T-1", "DPD", items)), story.context())
    assert refused.value.code == "bad_command"
    assert said in refused.value.message
    assert story.order.shipments == ()


# --- crossing ------------------------------------------------------------------------------------


def test_two_parcels_of_one_number_are_refused() -> None:
    story = two_lines()
    parcels = [Parcel("T-1", "DPD", (ShippedItem(line, 1),)) for line in (1, 2)]
    with pytest.raises(Refused, match="2 parcels bear the tracking number T-1") as refused:
        story.does(ship(*parcels))
    assert refused.value.code == "bad_command"
    assert story.order.shipments == ()


def test_a_shipment_that_crosses_a_cancellation_needs_a_person() -> None:
    story = reach(S.SYNCED).does(ship()).seen(status=41, modified_at=NOW)
    assert story.order.state is S.CANCELLED
    assert story.order.actions[SHIP] is ActionStatus.FAILED
    assert story.order.problem is not None
    assert story.order.problem.code == "wrong_chronology"
    assert event_types(story)[-1] == "order.problem"


def test_a_shipment_in_the_back_office_fulfils_ours() -> None:
    story = reach(S.SYNCED).does(ship()).seen(status=3, modified_at=NOW)
    assert story.order.state is S.SHIPPED
    assert story.order.actions[SHIP] is ActionStatus.DONE
    assert story.order.shipments[0].shipped_at is not None


def test_what_is_being_shipped_cannot_be_cancelled() -> None:
    story = reach(S.SYNCED).does(ship())
    with pytest.raises(Refused, match="being shipped"):
        step(story.order, CancelOrder("eve"), story.context())


def test_what_is_being_cancelled_cannot_be_shipped() -> None:
    story = reach(S.SYNCED).does(CancelOrder("eve"))
    with pytest.raises(Refused, match="being cancelled"):
        step(story.order, ship(), story.context())


def test_a_rejected_shipment_can_be_tried_again() -> None:
    story = reach(S.SYNCED).does(ship())
    story.does(ActionRejected(SHIP, "rejected", "no such carrier"))
    assert story.order.problem is not None
    story.does(RetryOrder("eve"))
    assert [action.kind for action in story.last.actions] == [SHIP]
    assert story.order.problem is None


# --- parcels that have left ----------------------------------------------------------------------


def partly_shipped() -> Story:
    """One shoe of line 1 has left, two of line 2 have not."""
    return two_lines().does(ship(Parcel("T-1", "DPD", (ShippedItem(1, 1),))))


def test_an_order_with_a_parcel_is_cancelled_only_by_force() -> None:
    story = partly_shipped()
    with pytest.raises(Refused, match="T-1") as refused:
        step(story.order, CancelOrder("eve"), story.context())
    assert refused.value.code == "parcels_shipped"
    story.does(CancelOrder("eve", force=True))
    assert [action.kind for action in story.last.actions] == [ActionKind.CANCEL]


def test_an_order_is_closed_with_what_has_left() -> None:
    story = partly_shipped()
    assert units_shipped(story.order) == (1, 3)
    story.does(ShipOrder("store", (), complete=True))
    assert [action.kind for action in story.last.actions] == [SHIP]
    assert story.order.not_shipped == (ShippedItem(2, 2),)
    assert story.order.reserved == {"10001": 1}
    assert story.moved == [("10002", 2, "order_cancelled")]
    story.carried_out(SHIP)
    assert story.order.state is S.SHIPPED
    assert story.last.events[0].data["order"]["not_shipped"] == (ShippedItem(2, 2),)


def test_the_last_parcel_may_close_the_order_and_a_later_one_lowers_what_was_not_shipped() -> None:
    story = two_lines()
    first = Parcel("T-1", "DPD", (ShippedItem(1, 1),))
    story.does(ShipOrder("store", (first,), complete=True))
    assert story.order.not_shipped == (ShippedItem(2, 2),)
    story.does(ship(Parcel("T-2", "DPD", (ShippedItem(2, 1),))))
    assert story.order.not_shipped == (ShippedItem(2, 1),)


def test_an_order_without_a_parcel_is_not_closed() -> None:
    story = two_lines()
    with pytest.raises(Refused, match="no parcel has left"):
        step(story.order, ShipOrder("store", (), complete=True), story.context())


def test_a_parcel_without_items_holds_what_the_others_do_not_wherever_it_stands() -> None:
    story = two_lines().does(ship(Parcel("T-1", "DPD"), Parcel("T-2", "DPD", (ShippedItem(2, 1),))))
    rest, named = story.order.shipments
    assert (rest.tracking_number, rest.items) == ("T-1", (ShippedItem(1, 1), ShippedItem(2, 1)))
    assert named.items == (ShippedItem(2, 1),)


# --- afterwards ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "kind", "state", "status"),
    [
        (LoseOrder("eve"), ActionKind.LOSE, S.LOST, 45),
        (UndeliverOrder("eve"), ActionKind.UNDELIVER, S.UNDELIVERED, 47),
    ],
)
def test_a_shipped_order_is_lost_or_comes_back(
    command: LoseOrder | UndeliverOrder, kind: ActionKind, state: OrderState, status: int
) -> None:
    story = reach(S.SHIPPED).does(command)
    assert (story.last.answer, story.order.state) == ("queued", S.SHIPPED)
    story.does(command)
    assert (story.last.answer, story.last.touched) == ("queued", False)
    story.does(ActionCarriedOut(kind, "eve"))
    assert (story.order.state, story.order.facts.status) == (state, status)


def test_an_order_is_not_reported_lost_and_undelivered() -> None:
    story = reach(S.SHIPPED).does(LoseOrder("eve"))
    with pytest.raises(Refused, match="being reported lost"):
        step(story.order, UndeliverOrder("eve"), story.context())


# --- stock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize(
    "fact",
    [
        ship(),
        LoseOrder("store"),
        UndeliverOrder("store"),
        AcceptedPublished(),
        ActionCarriedOut(SHIP, "store"),
        ActionCarriedOut(ActionKind.LOSE, "store"),
        ActionCarriedOut(ActionKind.UNDELIVER, "store"),
    ],
)
def test_what_happens_to_parcels_neither_needs_nor_moves_stock(state: S, fact: Fact) -> None:
    assert leaves_stock_alone(fact)
    story = reach(state)
    try:
        changes = story.does(fact).last
    except Refused:
        return
    before, now = story.steps[-2].order, story.now - SECOND
    assert step(before, fact, context(now=now, conf=story.settings)) == changes
    assert not changes.reserved


def test_what_may_move_stock_is_not_said_to_leave_it_alone() -> None:
    for kind in ActionKind:
        if kind not in {SHIP, ActionKind.LOSE, ActionKind.UNDELIVER}:
            assert not leaves_stock_alone(ActionCarriedOut(kind, "store"))
    assert not leaves_stock_alone(CancelOrder("store"))
