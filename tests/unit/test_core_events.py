"""Events in exactly the shapes that interfaces.md promises."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from statemachine.changes import Event, EventType
from statemachine.events import order_document, quarantined_event, stock_event
from statemachine.facts import AcceptOrder, AcknowledgeOrder, ActionRejected, CatalogueChanged
from statemachine.model import (
    ActionKind,
    Address,
    ConnectionId,
    OrderState,
    Relay,
    Shipment,
    ShippedItem,
)
from tests.unit.builders import (
    HOME,
    NOW,
    OFFICE,
    ORDER_ID,
    Story,
    line,
    marketplace_order,
    only,
    product,
    reach,
    settings,
)

S = OrderState
E = EventType
NEW_AT = "2026-11-20T12:00:00+00:00"
ACCEPTED_AT = "2026-11-20T12:00:01+00:00"


def plain(value: Any) -> Any:
    """What a consumer reads: money and times as strings, everything else JSON's own."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | str) else value


def address(first_name: str, street: str, city: str, postcode: str) -> dict[str, str]:
    return {
        "first_name": first_name,
        "last_name": "",
        "company": "",
        "street": street,
        "suburb": "",
        "city": city,
        "postcode": postcode,
        "state": "",
        "country": "France",
    }


ORDER = {
    "connection": "shoes-fr",
    "order_id": "3FF75E96C3434E92",
    "state": "accepted",
    "spartoo_status": 2,
    "purchased_at": "2026-11-20T09:12:00+01:00",
    "modified_at": "2026-11-20T09:30:00+01:00",
    "currency": "EUR",
    "total": "64.99",
    "shipping_price": "0.00",
    "shipping_service": "Colissimo",
    "payment": {"method": "CB", "price": "0.00"},
    "customer": {
        "first_name": "Ada",
        "last_name": "",
        "company": "",
        "email": "ada@example.org",
        "phone": "",
    },
    "billing_address": address("Ada", "1 rue de la Paix", "Paris", "75002"),
    "shipping_address": address("Ada", "2 quai Perrache", "Lyon", "69002"),
    "shipping_address_source": "marketplace",
    "marketplace_shipping_address": address("Ada", "2 quai Perrache", "Lyon", "69002"),
    "relay": None,
    "items": [
        {
            "line": 1,
            "reference": "98",
            "size_reference": "98_38",
            "spartoo_product_id": 123,
            "name": "Boot",
            "brand": "Acme",
            "size": "38",
            "color": "red",
            "quantity": 1,
            "unit_price": "79.99",
            "unit_price_discounted": "64.99",
            "line_total": "64.99",
            "product_id": "98_38",
        }
    ],
    "store_order_id": None,
    "shipments": [],
    "not_shipped": [],
}
DECISION = {
    "outcome": "accept",
    "reasons": [],
    "checks": [
        {"line": 1, "check": "product", "passed": True, "detail": "id 98_38"},
        {"line": 1, "check": "stock", "passed": True, "detail": "5 available, 1 ordered"},
        {
            "line": 1,
            "check": "price",
            "passed": True,
            "detail": "64.99 ≥ 0.97 × 64.99 = 63.0403",
        },
    ],
    "settings": {
        "auto_accept": True,
        "price_attribute": "price_final_incl_tax",
        "price_threshold": "0.97",
        "product_id_attribute": "id",
    },
    "at": NEW_AT,
}


def automatic() -> Story:
    return Story(product("98_38")).seen(line(reference="98", size_reference="98_38"))


def test_order_accepted_is_as_documented() -> None:
    event = only(automatic().carried_out(ActionKind.ACCEPT).last, E.ORDER_ACCEPTED)
    assert plain(event.data) == {
        "order": ORDER,
        "transition": {
            "from": "new",
            "to": "accepted",
            "trigger": "accept",
            "by": "system",
            "at": ACCEPTED_AT,
        },
        "decision": DECISION,
    }
    assert list(event.data["order"]) == list(ORDER)


def test_order_new_comes_from_nothing_and_carries_the_decision() -> None:
    data = plain(only(automatic().last, E.ORDER_NEW).data)
    assert data == {
        "order": ORDER | {"state": "new", "spartoo_status": 11},
        "transition": {
            "from": None,
            "to": "new",
            "trigger": "see",
            "by": "marketplace",
            "at": NEW_AT,
        },
        "decision": DECISION,
    }


def test_order_pending_manual_carries_every_reason() -> None:
    story = Story(product(stock=0), auto_accept=False).seen(line(price="1.00"))
    data = plain(only(story.last, E.ORDER_PENDING_MANUAL).data)
    assert data["decision"]["outcome"] == "hold"
    assert data["decision"]["reasons"] == [
        "auto_accept_off",
        "out_of_stock",
        "price_below_threshold",
    ]
    assert (data["transition"]["from"], data["transition"]["by"]) == ("new", "automatic")


def test_without_a_decision_there_is_none_in_the_event() -> None:
    story = Story(product()).seen(status=2)
    assert all("decision" not in event.data for event in story.last.events)


@pytest.mark.parametrize("state", S)
def test_every_order_event_has_the_envelope_of_its_order(state: S) -> None:
    events = [e for c in reach(state).steps for e in c.events if e.type is not E.STOCK_CHANGED]
    assert len(events) >= 1
    for event in events:
        assert (event.source, event.subject) == ("/spartoo/shoes-fr", ORDER_ID)
        assert (event.connection, event.order_id, event.catalog) == ("shoes-fr", ORDER_ID, None)
        assert event.data["order"]["state"] == event.data["transition"]["to"]
        assert event.time == event.data["transition"]["at"]


def test_order_changed_has_changes_and_no_transition() -> None:
    story = reach(S.ACCEPTED).seen(total=Decimal("60.00"))
    data = plain(only(story.last, E.ORDER_CHANGED).data)
    assert sorted(data) == ["changes", "order"]
    assert data["changes"] == [{"field": "total", "old": "64.99", "new": "60.00"}]
    assert data["order"]["total"] == "60.00"


def test_order_problem_has_the_problem_and_no_transition() -> None:
    story = reach(S.NEW).does(ActionRejected(ActionKind.ACCEPT, "rejected", "-3"))
    data = plain(only(story.last, E.ORDER_PROBLEM).data)
    assert sorted(data) == ["order", "problem"]
    assert data["problem"] == {"code": "rejected", "message": "-3", "action": "accept"}


# --- the order as the outside sees it ------------------------------------------------------------


@pytest.mark.parametrize("relay", [None, Relay("7", "type", "Kiosk", "3 rue", "Lyon", "69", "FR")])
@pytest.mark.parametrize(("use_billing", "published"), [(True, HOME), (False, OFFICE)])
def test_the_published_shipping_address(
    use_billing: bool, published: object, relay: Relay | None
) -> None:
    story = Story(product()).seen(relay=relay)
    conf = settings(use_billing_address_for_shipping=use_billing)
    document = order_document(story.order, conf)
    assert document["shipping_address"] == published
    assert document["marketplace_shipping_address"] == OFFICE
    assert document["relay"] == relay
    assert relay is None or list(plain(relay)) == [
        "id",
        "type",
        "name",
        "address",
        "city",
        "postcode",
        "country",
    ]


def test_an_item_without_a_product_says_so() -> None:
    story = Story(product()).seen(line(1), line(2, "unknown"))
    items = order_document(story.order, settings())["items"]
    assert [item["product_id"] for item in items] == ["10001", None]


def test_the_store_s_id_is_shown() -> None:
    story = reach(S.SYNCED).does(AcknowledgeOrder("store", "S-1"))
    assert order_document(story.order, settings())["store_order_id"] == "S-1"


def test_a_shipment_has_the_documented_keys() -> None:
    parcel = Shipment("T1", "Colissimo", "La Poste", (ShippedItem(1, 2),), NOW)
    assert plain(parcel) == {
        "tracking_number": "T1",
        "shipping_service": "Colissimo",
        "store_shipping_service": "La Poste",
        "items": [{"line": 1, "quantity": 2}],
        "shipped_at": NEW_AT,
    }


# --- stock and quarantine ------------------------------------------------------------------------


def stock(event: Event) -> Any:
    assert (event.source, event.catalog) == ("/spartoo/catalog/default", "default")
    assert event.subject == event.data["product_id"]
    return plain(event.data)


def test_stock_changed_by_an_order_is_as_documented() -> None:
    event = only(Story(product()).seen(line(quantity=2)).last, E.STOCK_CHANGED)
    assert stock(event) == {
        "catalog": "default",
        "product_id": "10001",
        "delta": -2,
        "available": 3,
        "shortfall": 0,
        "reason": "order_accepted",
        "connection": "shoes-fr",
        "order_id": ORDER_ID,
    }
    assert (event.connection, event.order_id) == ("shoes-fr", ORDER_ID)


def test_stock_changed_by_the_catalogue_has_no_order() -> None:
    event = stock_event(product(stock=1, reserved=3), -4, "catalog", NOW)
    assert stock(event) == {
        "catalog": "default",
        "product_id": "10001",
        "delta": -4,
        "available": 0,
        "shortfall": 2,
        "reason": "catalog",
        "connection": None,
        "order_id": None,
    }


def test_a_shortfall_is_shown_with_the_order_that_made_it() -> None:
    story = reach(S.PENDING_MANUAL, product(stock=1)).seen(line(quantity=3))
    story.does(AcceptOrder("eve"))
    data = stock(only(story.last, E.STOCK_CHANGED))
    assert (data["delta"], data["available"], data["shortfall"]) == (-3, 0, 2)


def test_each_product_of_an_order_has_its_movement() -> None:
    story = Story(product("1"), product("2", stock=0)).seen(line(1, "1"), line(2, "2"))
    story.changed(product("2", stock=9))
    story.does(CatalogueChanged())
    assert story.moved == [("1", -1, "order_accepted"), ("2", -1, "order_accepted")]


@pytest.mark.parametrize(
    ("subject", "order_id"), [("3FF75E96C3434E92", "3FF75E96C3434E92"), ("unreadable-ab12", None)]
)
def test_order_quarantined_is_as_documented(subject: str, order_id: str | None) -> None:
    event = quarantined_event(
        ConnectionId("shoes-fr"), subject, "order_total: abc", first_seen=NOW, now=NOW
    )
    assert (event.source, event.subject, event.order_id) == ("/spartoo/shoes-fr", subject, order_id)
    assert (event.type, event.time, event.connection) == (E.ORDER_QUARANTINED, NOW, "shoes-fr")
    assert plain(event.data) == {
        "quarantine": {
            "connection": "shoes-fr",
            "order_id": order_id,
            "error": "order_total: abc",
            "first_seen_at": NEW_AT,
        }
    }


def test_the_billing_address_is_published_for_an_empty_delivery_block_and_named() -> None:
    order = replace(
        reach(OrderState.ACCEPTED).order, facts=marketplace_order(shipping_address=Address())
    )
    document = order_document(order, settings())
    assert document["shipping_address"] == HOME
    assert document["shipping_address_source"] == "billing"
    assert document["marketplace_shipping_address"] == Address()
