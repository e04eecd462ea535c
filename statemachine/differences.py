"""What the marketplace changed in an order, field by field (`order.changed`)."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from statemachine.model import Line, MarketplaceOrder

_PARTS = ("customer", "billing_address", "shipping_address", "relay")
_FIELDS = ("total", "shipping_price", "shipping_service", "currency")

Difference = dict[str, Any]


def differences(old: MarketplaceOrder, new: MarketplaceOrder) -> list[Difference]:
    """List of {"field", "old", "new"}; status and modification time are no changes of content."""
    return [
        *_parts(old, new),
        *(
            _difference(name, getattr(old, name), getattr(new, name))
            for name in _FIELDS
            if getattr(old, name) != getattr(new, name)
        ),
        *_items(old.lines, new.lines),
    ]


def _parts(old: MarketplaceOrder, new: MarketplaceOrder) -> Iterator[Difference]:
    for part in _PARTS:
        before, after = getattr(old, part), getattr(new, part)
        if before == after:
            continue
        if before is None or after is None:
            yield _difference(part, before and asdict(before), after and asdict(after))
            continue
        befores, afters = asdict(before), asdict(after)
        for name, value in befores.items():
            if value != afters[name]:
                yield _difference(f"{part}.{name}", value, afters[name])


def _items(old: tuple[Line, ...], new: tuple[Line, ...]) -> Iterator[Difference]:
    if old != new:
        yield _difference("items", [asdict(line) for line in old], [asdict(line) for line in new])


def _difference(field: str, old: Any, new: Any) -> Difference:
    return {"field": field, "old": old, "new": new}
