"""What is erased of a person, in an order and in every document made of it."""

from dataclasses import asdict, replace
from datetime import timedelta

import orjson

from adapters.postgres.codec import dump
from statemachine.changes import EventType
from statemachine.differences import differences
from statemachine.events import order_document
from statemachine.facts import Seen
from statemachine.model import Address, Customer, MarketplaceOrder, Relay
from statemachine.privacy import erased, without_person
from statemachine.step import step
from tests.unit.builders import NOW, Story, context, marketplace_order, settings

MARK = "Zyxwvu"
DELIVERY = Address(MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, "Italie")
EVERYTHING = {
    "customer": Customer(*[f"{MARK}-customer-{n}" for n in range(5)]),
    "billing_address": Address(MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, "France"),
    "shipping_address": DELIVERY,
    "relay": Relay("R0001", "MR", f"{MARK} shop", f"{MARK} street", MARK, MARK, "FR"),
}


def order() -> MarketplaceOrder:
    """An order with a mark in every field that tells of its customer."""
    return marketplace_order(**EVERYTHING)


def test_every_field_that_tells_of_the_customer_goes_and_the_rest_stays() -> None:
    before, after = order(), erased(order())
    assert MARK in repr(before)
    assert MARK not in repr(after)
    assert (after.billing_address.country, after.shipping_address.country) == ("France", "Italie")
    assert after.relay == Relay(id="R0001", type="MR", country="FR")
    kept = {name: value for name, value in asdict(before).items() if name not in EVERYTHING}
    assert kept.items() <= asdict(after).items()
    assert erased(after) == after


def test_documents_are_erased_as_the_order_is() -> None:
    assert without_person(orjson.loads(dump(order()))) == orjson.loads(dump(erased(order())))
    story = Story()
    story.seen(**EVERYTHING)
    document = orjson.loads(dump(order_document(story.order, settings())))
    blank = without_person(document)
    assert MARK in str(document)
    assert MARK not in str(blank)
    gone = replace(story.order, facts=erased(order()))
    assert blank == orjson.loads(dump(order_document(gone, settings())))
    reply = {"id": "1", "status": "done", "order": document}
    assert without_person(reply) == {"id": "1", "status": "done", "order": blank}


def test_changes_that_were_told_are_erased_too() -> None:
    moved = replace(
        order(),
        customer=Customer(email=f"{MARK}@example.org"),
        shipping_address=replace(DELIVERY, city=MARK, country="Espagne"),
        relay=None,
        shipping_service="DPD",
    )
    told = orjson.loads(dump({"changes": differences(order(), moved)}))
    assert MARK in str(told)
    blank = without_person(told)
    assert MARK not in str(blank)
    assert {"field": "shipping_service", "old": "Colissimo", "new": "DPD"} in blank["changes"]
    country = {"field": "shipping_address.country", "old": "Italie", "new": "Espagne"}
    assert country in blank["changes"]


def test_stock_movements_and_label_links() -> None:
    stock = {"catalog": "default", "reason": "order_accepted", "delta": -1, "order_id": None}
    assert without_person(stock) == stock
    labelled = {"return": {"return_id": "7", "label_link": "https://labels.example/7.pdf"}}
    assert without_person(labelled) == {"return": {"return_id": "7", "label_link": None}}


def test_an_erased_order_stays_erased_whatever_the_marketplace_sends() -> None:
    story = Story()
    story.seen(**EVERYTHING, status=3)
    gone = replace(story.order, facts=erased(story.order.facts), erased_at=NOW)
    later = NOW + timedelta(days=200)
    conf = settings()

    def see(facts: MarketplaceOrder) -> tuple[list[EventType], str, str]:
        changes = step(gone, Seen(facts, later), context(now=later, conf=conf))
        return [e.type for e in changes.events], changes.order.state, repr(changes)

    same = marketplace_order(**EVERYTHING, status=3)
    assert not step(gone, Seen(same, later), context(now=later, conf=conf)).touched
    moved = replace(same, customer=Customer(email=f"{MARK}@example.org"))
    assert not step(gone, Seen(moved, later), context(now=later, conf=conf)).touched
    told, state, everything = see(replace(moved, status=45))
    assert (told, state) == ([EventType.ORDER_LOST], "lost")
    assert MARK not in everything
