"""Orders, returns and answers as XML text, shaped as the web-service page says.

Parties and items repeat between orders: each is rendered once and kept, an order is put together
from such pieces in microseconds, and a changed order needs no invalidation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape as escape_html
from typing import Literal

from adapters.spartoo.simulator.catalog import format_cents
from adapters.spartoo.simulator.codes import CODES
from adapters.spartoo.simulator.orders import (
    STATUS_NAMES,
    OrderLine,
    Party,
    Relay,
    SimulatedOrder,
)
from adapters.spartoo.simulator.returns import RETURN_STATUS_NAMES, SimulatedReturn

Place = Literal["statut", "errors", "error"]
Edit = Callable[[str, int, int], str]  # text, index, count → text


@dataclass(frozen=True, slots=True)
class Listing:
    """What an answer holds beside its code: elements in a list of that name, or without one.

    `element` renders the one at a place, so that an export never stands in memory as a whole.
    """

    name: str
    count: int
    element: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answers: a code, where it stands, and what it lists if it lists anything."""

    code: int
    place: Place
    listing: Listing | None = None


@dataclass(frozen=True, slots=True)
class ProductResult:
    """What a product of a stock batch is answered."""

    reference: str
    code: int


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape_html(value, quote=False)}</{name}>"


def _elements(prefix: str, values: Sequence[tuple[str, str]]) -> str:
    return "".join(_element(f"{prefix}_{name}", value) for name, value in values)


@lru_cache(maxsize=4096)
def _customers(party: Party) -> str:
    values = (
        ("firstname", party.first_name),
        ("lastname", party.last_name),
        ("company", party.company),
        ("street_address", party.street),
        ("suburb", party.suburb),
        ("city", party.city),
        ("postcode", party.postcode),
        ("state", party.state),
        ("country", party.country),
        ("email_address", party.email),
        ("telephone", party.phone),
    )
    return f"<customers>{_elements('customers', values)}</customers>"


@lru_cache(maxsize=4096)
def _delivery(party: Party, relay: Relay | None) -> str:
    values = (
        ("firstname", party.first_name),
        ("lastname", party.last_name),
        ("company", party.company),
        ("suburb", party.suburb),
        ("street_address", party.street),
        ("city", party.city),
        ("postcode", party.postcode),
        ("state", party.state),
        ("country", party.country),
    )
    info = "" if relay is None else _relay_info(relay)
    return f"<delivery>{_elements('delivery', values)}{info}</delivery>"


def _relay_info(relay: Relay) -> str:
    values = (
        ("id", relay.id),
        ("type", relay.type),
        ("name", relay.name),
        ("address", relay.address),
        ("city", relay.city),
        ("postcode", relay.postcode),
        ("country_iso", relay.country_iso),
    )
    return f"<relay_info>{_elements('relay', values)}</relay_info>"


@lru_cache(maxsize=4096)
def _product(line: OrderLine) -> str:
    values = (
        ("reference", line.reference),
        ("size_reference", line.size_reference),
        ("name", line.name),
        ("manufacturers", line.brand),
        ("size", line.size),
        ("color", line.color),
        ("spartoo", str(line.spartoo_number)),
        ("qty", str(line.quantity)),
        ("price_unit", format_cents(line.unit_price)),
        ("price_unit_with_reduce", format_cents(line.unit_price_reduced)),
        ("final_price", format_cents(line.total)),
    )
    return f"<product>{_elements('products', values)}</product>"


def render_order(order: SimulatedOrder) -> str:
    """The `order` element."""
    return (
        f"<order><orders_id>{order.id}</orders_id>"
        f"{_customers(order.billing)}{_delivery(order.delivery, order.relay)}"
        f"{_element('payment_method', order.payment_method)}<payment_price>0.00</payment_price>"
        f"<shipping_price>{format_cents(order.shipping_price)}</shipping_price>"
        f"{_element('shipping_name', order.shipping_name)}"
        f"<order_total>{format_cents(order.total)}</order_total>"
        f"<orders_status_name>{STATUS_NAMES[order.status]}</orders_status_name>"
        f"<orders_status_id>{order.status.value}</orders_status_id>"
        f"<date_purchased>{order.purchased}</date_purchased>"
        f"<last_modified>{order.modified}</last_modified>"
        f"<products>{''.join(map(_product, order.lines))}</products><errors></errors></order>\n"
    )


def order_listing(orders: Sequence[SimulatedOrder]) -> Listing:
    return Listing("orders", len(orders), lambda place: render_order(orders[place]))


def return_listing(found: Sequence[SimulatedReturn]) -> Listing:
    return Listing("returns", len(found), lambda place: render_return(found[place]))


def slip_listing(order: SimulatedOrder, slip: str) -> Listing:
    """The `bl` element; `slip` is a link or base64."""
    text = f"<bl><order_id>{order.id}</order_id>{_element('pdf', slip)}</bl>\n"
    return Listing("", 1, lambda _: text)


def product_listing(results: Sequence[ProductResult]) -> Listing:
    return Listing("products", len(results), lambda place: _product_result(results[place]))


def _product_result(result: ProductResult) -> str:
    reference = _element("reference_partenaire", result.reference)
    return f"<product>{reference}{_result(result.code, 'error')}</product>\n"


def render_return(one: SimulatedReturn) -> str:
    """The `return` element. Assumed: its date is written as those of orders are."""
    line = one.line
    values = (
        ("reference", line.reference),
        ("name", line.name),
        ("spartoo", str(line.spartoo_number)),
        ("manufacturers", line.brand),
        ("size", line.size),
        ("color", line.color),
    )
    return (
        f"<return><return_id>{one.id}</return_id><return_date>{one.requested}</return_date>"
        f"{_element('return_status_name', RETURN_STATUS_NAMES[one.status])}"
        f"<return_status>{one.status.value}</return_status>"
        f"{_element('return_reason', one.reason)}<order>{one.order_id}</order>"
        f"<product>{_elements('products', values)}</product><errors></errors></return>\n"
    )


def _result(code: int, place: Place) -> str:
    pair = f"<id>{code}</id>{_element('description', CODES.get(code, 'error'))}"
    match place:
        case "errors":
            return f"<errors>{code}</errors>"
        case "statut":
            return f"<statut>{pair}</statut>"
        case "error":
            return f"<errors><error>{pair}</error></errors>"


def answer_parts(
    answer: Answer, declaration: str, place: Place | None, edits: Sequence[Edit]
) -> Iterator[str]:
    """The whole answer in pieces of at most one element; `place` overrides the answer's own."""
    yield f'<?xml version="1.0"{declaration}?>\n<root>'
    if (listing := answer.listing) is not None:
        yield f"<{listing.name}>\n" if listing.name else ""
        for index in range(listing.count):
            text = listing.element(index)
            for edit in edits:
                text = edit(text, index, listing.count)
            yield text
        yield f"</{listing.name}>" if listing.name else ""
    yield f"{_result(answer.code, place or answer.place)}</root>\n"
