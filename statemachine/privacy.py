"""What is erased of a person, and what stays: figures, products and the country stay."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from statemachine.model import Address, Customer, MarketplaceOrder, Relay

# Under these names an order's facts, its document in events and replies, and its changes hold what
# tells of the customer; the fields that may stay are those behind them.
_PERSON: Mapping[str, frozenset[str]] = {
    "customer": frozenset(),
    "billing_address": frozenset({"country"}),
    "shipping_address": frozenset({"country"}),
    "marketplace_shipping_address": frozenset({"country"}),
    "relay": frozenset({"id", "type", "country"}),
}
_LINK = "label_link"  # to a label with the customer's address


def erased(facts: MarketplaceOrder) -> MarketplaceOrder:
    """The order without its customer."""
    relay = facts.relay
    return replace(
        facts,
        customer=Customer(),
        billing_address=Address(country=facts.billing_address.country),
        shipping_address=Address(country=facts.shipping_address.country),
        relay=relay and Relay(id=relay.id, type=relay.type, country=relay.country),
    )


def without_person(document: Any) -> Any:
    """A JSON document of an order, an event or a reply without what tells of the customer."""
    match document:
        case {"field": str(name), "old": old, "new": new}:  # of order.changed
            return {"field": name, "old": _of_part(name, old), "new": _of_part(name, new)}
        case Mapping():
            return {name: _of_field(name, value) for name, value in document.items()}
        case str():
            return document
        case Sequence():
            return [without_person(item) for item in document]
        case _:
            return document


def _of_field(name: str, value: Any) -> Any:
    if name in _PERSON:
        return _blank(value, _PERSON[name])
    return None if name == _LINK else without_person(value)


def _of_part(path: str, value: Any) -> Any:
    """The value of a changed field, like `customer.email` or `relay`."""
    part, _, field = path.partition(".")
    if part not in _PERSON or field in _PERSON[part]:
        return value
    return _blank(value, _PERSON[part])


def _blank(value: Any, kept: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: v if name in kept else _blank(v, kept) for name, v in value.items()}
    return None if value is None else ""
