"""The JSON Schemas take what the interface shows, and nothing beside it."""

from copy import deepcopy
from importlib.resources import files
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from adapters.rabbitmq.envelope import cloud_event
from adapters.rabbitmq.schemas import (
    definitions,
    schema_for_command,
    schema_for_event,
    schema_for_reply,
)
from statemachine.changes import EventType
from tests.fixtures.events import logged_event

FILES = sorted(path.name for path in (files("adapters.rabbitmq") / "schemas").iterdir())
AT = "2026-11-20T09:12:00+01:00"
PLACE = ["street", "suburb", "city", "postcode", "state", "country"]
ADDRESS = dict.fromkeys(["first_name", "last_name", "company", *PLACE], "")
ORDER: dict[str, Any] = {
    "connection": "shoes-fr",
    "order_id": "3FF75E96C3434E92",
    "state": "accepted",
    "spartoo_status": 2,
    "purchased_at": AT,
    "modified_at": AT,
    "currency": "EUR",
    "total": "64.99",
    "shipping_price": "0.00",
    "shipping_service": "Colissimo",
    "payment": {"method": "CB", "price": "0.00"},
    "customer": dict.fromkeys(["first_name", "last_name", "company", "email", "phone"], ""),
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS,
    "shipping_address_source": "marketplace",
    "marketplace_shipping_address": ADDRESS,
    "relay": None,
    "items": [
        {
            "line": 1,
            "reference": "98",
            "size_reference": "98_38",
            "spartoo_product_id": 123,
            "name": "",
            "brand": "",
            "size": "38",
            "color": "",
            "quantity": 1,
            "unit_price": "79.99",
            "unit_price_discounted": "64.99",
            "line_total": "64.99",
            "product_id": "10001",
        }
    ],
    "store_order_id": None,
    "shipments": [],
    "not_shipped": [],
}
SHIPPED: dict[str, Any] = {
    **ORDER,
    "state": "shipped",
    "relay": dict.fromkeys(["id", "type", "name", "address", "city", "postcode", "country"], ""),
    "shipments": [
        {
            "tracking_number": "6A1",
            "shipping_service": "Colissimo",
            "store_shipping_service": "colissimo",
            "items": [{"line": 1, "quantity": 1}],
            "shipped_at": AT,
        }
    ],
}
TRANSITION = {"from": "new", "to": "accepted", "trigger": "accept", "by": "system", "at": AT}
DECISION = {
    "outcome": "hold",
    "reasons": ["price_below_threshold", "out_of_stock"],
    "checks": [{"line": 1, "check": "price", "passed": False, "detail": "48.00 < 49.47"}],
    "settings": {
        "auto_accept": True,
        "price_attribute": "price_final_incl_tax",
        "price_threshold": "0.97",
        "product_id_attribute": "id",
    },
    "at": AT,
}
RETURN = {
    "connection": "shoes-fr",
    "return_id": "77",
    "order_id": "3FF75E96C3434E92",
    "state": "requested",
    "spartoo_status": 2,
    "reason": "too small",
    "requested_at": AT,
    "item": {
        "reference": "98",
        "spartoo_product_id": 123,
        "name": "",
        "brand": "",
        "size": "38",
        "color": "",
    },
    "label_link": None,
    "has_label": False,
}
STOCK = {
    "catalog": "default",
    "product_id": "10001",
    "delta": -1,
    "available": 4,
    "shortfall": 0,
    "reason": "order_accepted",
    "connection": "shoes-fr",
    "order_id": "3FF75E96C3434E92",
}
QUARANTINE = {
    "connection": "shoes-fr",
    "order_id": None,
    "error": "orders_id: missing",
    "first_seen_at": AT,
}
DATA: dict[str, dict[str, Any]] = {
    "order.new": {"order": ORDER, "transition": {**TRANSITION, "from": None, "to": "new"}},
    "order.pending_manual": {"order": ORDER, "transition": TRANSITION, "decision": DECISION},
    "order.shipped": {"order": SHIPPED, "transition": TRANSITION},
    "order.changed": {"order": ORDER, "changes": [{"field": "x", "old": None, "new": ["a"]}]},
    "order.problem": {
        "order": ORDER,
        "problem": {"code": "wrong_state", "message": "…", "action": "accept"},
    },
    "order.quarantined": {"quarantine": QUARANTINE},
    "stock.changed": STOCK,
    "connection.suspended": {"connection": "shoes-fr", "reason": "bad_key", "message": "…"},
    "connection.resumed": {"connection": "shoes-fr", "reason": "by_command", "message": "…"},
}
for _state in ("accepted", "synced", "cancelled", "lost", "undelivered"):
    DATA[f"order.{_state}"] = {"order": ORDER, "transition": TRANSITION}
for _state in ("requested", "accepted", "refused", "paid", "refunded"):
    _move = {**TRANSITION, "from": None, "to": _state}
    DATA[f"return.{_state}"] = {"return": {**RETURN, "state": _state}, "transition": _move}

ONE_ORDER = {"connection": "shoes-fr", "order_id": "3FF75E96C3434E92"}
ONE_RETURN = {"connection": "shoes-fr", "return_id": "77"}
PARCEL = {
    "tracking_number": "6A1",
    "shipping_service": "DPD",
    "items": [{"line": 1, "quantity": 2}],
}
COMMANDS: dict[str, list[dict[str, Any]]] = {
    "order.ship": [
        {**ONE_ORDER, "tracking_number": "6A1", "shipping_service": "DPD"},
        {**ONE_ORDER, "parcels": [PARCEL]},
    ],
    "order.acknowledge": [{**ONE_ORDER, "store_order_id": "S-1"}],
    "order.fetch": [ONE_ORDER],
    "return.accept": [ONE_RETURN],
    "return.refuse": [ONE_RETURN],
    "return.label": [
        {**ONE_RETURN, "label_link": "https://label.example/1"},
        {**ONE_RETURN, "label_file": "JVBERi0="},
    ],
    "connection.sync": [{"connection": "shoes-fr"}, {"connection": "a", "since": "2026-11-01"}],
    "connection.activate": [{"connection": "shoes-fr"}],
    "connection.disable": [{"connection": "shoes-fr"}],
    "catalog.upsert": [
        {"products": [{"id": "10001"}]},
        {
            "catalog": "winter",
            "products": [
                {
                    "id": "10001",
                    "sku": "98_38",
                    "ean": "4006381333931",
                    "name": "Boot",
                    "stock": 5,
                    "price_final_incl_tax": "64.99",
                    "price_original_incl_tax": 79.99,
                    "currency": "EUR",
                    "attributes": {"brand": "A"},
                    "as_of": AT,
                }
            ],
        },
    ],
    "stock.set": [{"product_id": "10001", "stock": 5, "as_of": AT}],
}
for _name in ("accept", "refuse", "cancel", "lost", "undelivered", "retry"):
    COMMANDS[f"order.{_name}"] = [ONE_ORDER, {**ONE_ORDER, "reason": "asked by phone"}]


def event_message(event: str, data: Any) -> Any:
    """A whole event."""
    logged = logged_event(kind=EventType(event), data=orjson.dumps(data))
    return orjson.loads(cloud_event(logged))


def errors(schema: dict[str, Any], instance: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(instance)]


def members(value: Any) -> list[dict[str, Any]]:
    """Every object inside, itself included; free-form values of a change left out."""
    if isinstance(value, list):
        return [inner for member in value for inner in members(member)]
    if not isinstance(value, dict):
        return []
    return [value, *(inner for member in value.values() for inner in members(member))]


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_a_schema(name: str) -> None:
    file = files("adapters.rabbitmq") / "schemas" / name
    Draft202012Validator.check_schema(orjson.loads(file.read_bytes()))
    assert name.removesuffix(".json") in definitions()


def test_every_event_and_command_is_tried_here() -> None:
    defined = definitions()
    assert {name for name in defined["events"]["$defs"] if "." in name} == set(DATA)
    assert {name for name in defined["commands"]["$defs"] if "." in name} == set(COMMANDS)
    assert set(EventType) == set(DATA)


@pytest.mark.parametrize("event", sorted(DATA))
def test_an_event_as_the_interface_shows_it_passes(event: str) -> None:
    assert errors(schema_for_event(event), event_message(event, DATA[event])) == []


@pytest.mark.parametrize("event", sorted(DATA))
def test_an_event_with_more_or_less_fails(event: str) -> None:
    """At every place of the message, one name too many, and each name missing."""
    schema = schema_for_event(event)
    message = event_message(event, DATA[event])
    for place in range(len(members(message))):
        changed = deepcopy(message)
        members(changed)[place]["surplus"] = 1
        assert errors(schema, changed), f"surplus in {members(message)[place]}"
        for name in set(members(message)[place]) - {"decision"}:
            changed = deepcopy(message)
            del members(changed)[place][name]
            assert errors(schema, changed), f"without {name}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("total",), 64.99),
        (("total",), "64,99"),
        (("purchased_at",), "2026-11-20 09:12:00"),
        (("purchased_at",), "2026-11-20T09:12:00"),
        (("state",), "refused"),
        (("currency",), "euro"),
        (("items",), []),
    ],
)
def test_values_the_interface_rules_out_fail(path: tuple[str], value: Any) -> None:
    order = {**ORDER, path[0]: value}
    message = event_message("order.accepted", {"order": order, "transition": TRANSITION})
    assert errors(schema_for_event("order.accepted"), message)


def test_the_envelope_belongs_to_its_event() -> None:
    message = event_message("order.accepted", DATA["order.accepted"])
    assert errors(schema_for_event("order.synced"), message)
    assert errors(schema_for_event("order.accepted"), {**message, "sequence": 0})
    assert errors(schema_for_event("order.accepted"), {**message, "sequence": "1"})


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_commands_pass_and_each_needed_field_is_needed(command: str) -> None:
    schema = schema_for_command(command)
    for fields in COMMANDS[command]:
        body = {"command": command, "id": "c-1", "by": "shop", **fields}
        assert errors(schema, body) == []
        assert errors(schema, {**body, "command": "other"})
    first = {"command": command, **COMMANDS[command][0]}
    for name in set(first) - {"as_of"}:
        assert errors(schema, {key: first[key] for key in first if key != name}), name


def test_one_parcel_or_several_but_not_both() -> None:
    both = {**COMMANDS["order.ship"][0], **COMMANDS["order.ship"][1], "command": "order.ship"}
    assert errors(schema_for_command("order.ship"), both)


@pytest.mark.parametrize(
    ("reply", "valid"),
    [
        ({"id": "c-1", "status": "done", "order": ORDER}, True),
        ({"id": "c-1", "status": "queued"}, True),
        ({"id": "c-1", "status": "queued", "return": RETURN}, True),
        ({"id": "c-1", "status": "queued", "return": {}}, False),
        ({"id": None, "status": "refused", "error": {"code": "x", "message": "y"}}, True),
        ({"id": "c-1", "status": "refused"}, False),
        ({"id": "c-1", "status": "done", "error": {"code": "x", "message": "y"}}, False),
        ({"id": "c-1", "status": "accepted"}, False),
        ({"id": "c-1", "status": "done", "order": {}}, False),
        ({"status": "done"}, False),
    ],
)
def test_replies(reply: dict[str, Any], valid: bool) -> None:
    assert (errors(schema_for_reply(), reply) == []) is valid


@pytest.mark.parametrize("name", ["order.unknown", "change", ""])
def test_an_unknown_name_is_said(name: str) -> None:
    with pytest.raises(KeyError, match=r"no schema for .* in events\.json"):
        schema_for_event(name)
    with pytest.raises(KeyError, match=r"no schema for .* in commands\.json"):
        schema_for_command(name)
