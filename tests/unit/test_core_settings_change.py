"""Settings that change under way: each order ends where the new ones would have put it."""

from statemachine.changes import EventType
from statemachine.facts import CancelOrder, SettingsChanged
from statemachine.model import ActionKind, OrderState
from tests.unit.builders import Story, product, reach

S = OrderState
E = EventType
ACCEPT = ActionKind.ACCEPT


def test_stock_only_records_what_waits_and_back_again_it_is_decided() -> None:
    story = Story(product(stock=0)).seen()
    story.changed(sync_level="stock_only")
    story.does(SettingsChanged())
    assert (story.order.state, story.told) == (S.SYNCED, [])
    assert story.moved == [("10001", -1, "marketplace_order")]
    story.changed(product(stock=1, reserved=1), sync_level="orders_and_stock")
    story.does(SettingsChanged())
    assert story.told == [E.ORDER_NEW]
    assert (story.order.state, story.order.reserved) == (S.NEW, {"10001": 1})
    assert [a.kind for a in story.last.actions] == [ACCEPT]
    assert not story.does(SettingsChanged()).last.touched


def test_stock_only_withdraws_an_acceptance_and_tells_what_a_person_had_asked_for() -> None:
    story = Story(product()).seen()
    story.changed(sync_level="stock_only")
    story.does(SettingsChanged())
    assert story.last.settled == {ACCEPT: "superseded"}
    assert (story.order.state, story.order.problem) == (S.SYNCED, None)
    asked = reach(S.SYNCED).does(CancelOrder("eve"))
    asked.changed(sync_level="stock_only")
    asked.does(SettingsChanged())
    assert asked.order.problem is not None
    assert asked.order.problem.code == "stock_only"


def test_what_waited_for_the_store_is_synced_once_publishing_is_enough() -> None:
    story = reach(S.ACCEPTED, synced_when="acknowledged").published()
    assert story.order.state is S.ACCEPTED
    story.changed(synced_when="published")
    story.does(SettingsChanged())
    assert (story.order.state, story.told) == (S.SYNCED, [E.ORDER_SYNCED])
    assert story.order.known_at is not None


def test_automatic_acceptance_switched_on_decides_what_waits() -> None:
    story = Story(product(), auto_accept=False).seen()
    story.changed(auto_accept=True)
    story.does(SettingsChanged())
    assert [a.kind for a in story.last.actions] == [ACCEPT]
