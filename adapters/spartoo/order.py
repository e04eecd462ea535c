"""One exported order: its XML, and on request the order it describes."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal, Inexact
from hashlib import blake2b
from typing import Self, TypeVar
from zoneinfo import ZoneInfo

from lxml import etree

from adapters.ports import UnreadableOrder
from adapters.spartoo.fields import BadField, is_zero_date, parse_amount, parse_count, parse_date
from statemachine.model import (
    Address,
    Customer,
    Line,
    MarketplaceOrder,
    OrderId,
    Payment,
    Relay,
)

LARGEST_ORDER = 1 << 20  # bytes of one order's XML; past it the order is set aside unread
_LONGEST_ID = 64
_ID = re.compile(rb"<orders_id[^<>]*>\s*(?:<!\[CDATA\[)?\s*([^\s<>\]]{1,64})")
_EXACT = Context(prec=60, traps=[Inexact])
_PARSER = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    remove_comments=True,
    remove_pis=True,
)
_SYNTAX_FAULTS = {
    4: "nothing there",
    5: "text after its end",
    63: "a CDATA section is not closed",
    68: 'a "<" that begins no tag',
    73: "a tag is not finished",
    76: "an element is closed by the tag of another",
    77: "its end tag is missing",
}

T = TypeVar("T")


def clean_order_id(text: str | None) -> OrderId | None:
    """The order's id as sent, without the spaces around it; None where there is none."""
    stripped = (text or "").strip()
    return OrderId(stripped) if 0 < len(stripped) <= _LONGEST_ID else None


def _text_of(element: etree._Element) -> str:
    """All text inside an element; most have no children."""
    if len(element) == 0:
        return element.text or ""
    return etree.tostring(element, encoding="unicode", method="text", with_tail=False)


def field_text(elements: Iterable[etree._Element]) -> str:
    """The first text that is not empty, without the spaces around it; or ''."""
    for element in elements:
        if text := _text_of(element).strip():
            return text
    return ""


@dataclass(frozen=True, slots=True)
class SpartooOrder:
    """One order of an export (ports.ExportedOrder)."""

    order_id: OrderId | None
    fingerprint: bytes
    xml: bytes = field(repr=False)
    zone: ZoneInfo
    currency: str

    @classmethod
    def from_xml(
        cls, xml: bytes, zone: ZoneInfo, currency: str, *, order_id: str | None = None
    ) -> Self:
        """From the bytes of its element, well-formed or not."""
        if order_id is None and (match := _ID.search(xml)) is not None:
            order_id = match[1].decode("utf-8", "replace")
        fingerprint = blake2b(xml, digest_size=16).digest()
        return cls(clean_order_id(order_id), fingerprint, xml, zone, currency)

    def read(self) -> MarketplaceOrder:
        """Parse it. Raises UnreadableOrder."""
        order = self._parse()
        _raise_reported_error(order)
        read = _Fields(order)
        return MarketplaceOrder(
            order_id=_order_id(read),
            status=read.required("orders_status_id", parse_count),
            purchased_at=read.required("date_purchased", self._moment),
            modified_at=self._modified_at(read),
            currency=self.currency,
            total=read.optional("order_total", parse_amount),
            shipping_price=read.optional("shipping_price", parse_amount),
            shipping_service=read.text("shipping_name"),
            payment=Payment(
                read.text("payment_method"), read.optional("payment_price", parse_amount)
            ),
            customer=_customer(order),
            billing_address=_address(order, "customers"),
            shipping_address=_address(order, "delivery"),
            relay=_relay(order),
            lines=_lines(order),
        )

    def reported_code(self) -> int | None:
        """The negative result code the marketplace put inside this order, if any."""
        try:
            reported = _reported_error(self._parse())
        except UnreadableOrder:
            return None
        return reported and reported[0]

    def _parse(self) -> etree._Element:
        if len(self.xml) > LARGEST_ORDER:
            raise UnreadableOrder(
                f"order: its XML is over {LARGEST_ORDER} bytes, the most that is read of one order"
            )
        try:
            order = etree.fromstring(self.xml, _PARSER)
        except etree.XMLSyntaxError as error:
            raise UnreadableOrder(_syntax_fault(error)) from None
        if order.tag != "order":
            raise UnreadableOrder(f"order: found an element {_shown(order.tag)} in its place")
        return order

    def _moment(self, text: str) -> datetime:
        return parse_date(text, self.zone)

    def _modified_at(self, read: "_Fields") -> datetime | None:
        if is_zero_date(read.text("last_modified")):
            return None
        return read.required("last_modified", self._moment)


class _Fields:
    """The texts of an element's children by name; none of them without an element."""

    def __init__(self, element: etree._Element | None, place: str = ""):
        self._place = place
        self._children: dict[str, list[etree._Element]] = {}
        for child in () if element is None else element:
            self._children.setdefault(str(child.tag), []).append(child)

    def text(self, name: str) -> str:
        """The first text of that name that is not empty, without the spaces around it; or ''."""
        return field_text(self._children.get(name, ()))

    def required(self, name: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(self.text(name))
        except BadField as error:
            raise UnreadableOrder(f"{self._place}{name}: {error}") from None

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        return self.required(name, parse) if self.text(name) else None


def _shown(tag: object) -> str:
    return repr(str(tag)[:40])


def _syntax_fault(error: etree.XMLSyntaxError) -> str:
    # libxml2's own sentence may quote the order's text; its number for the fault does not.
    code = getattr(error, "code", 0)
    line, column = error.position
    fault = _SYNTAX_FAULTS.get(code, f"libxml2 error {code}")
    return f"order: not well-formed XML at line {line}, column {column}: {fault}"


def _reported_error(order: etree._Element) -> tuple[int, str] | None:
    """The negative result code inside an order with its description, if there is one."""
    for error in order.iterfind("errors/error"):
        code = (error.findtext("id") or "").strip()
        if re.fullmatch(r"-[0-9]{1,9}", code):
            return int(code), " ".join((error.findtext("description") or "").split())
    return None


def _raise_reported_error(order: etree._Element) -> None:
    if (reported := _reported_error(order)) is not None:
        code, description = reported
        raise UnreadableOrder(
            f"errors/error: the marketplace answers {code} for this order: {description[:200]}"
        )


def _order_id(read: _Fields) -> OrderId:
    text = read.text("orders_id")
    if (order_id := clean_order_id(text)) is None:
        wrong = f"{len(text)} characters" if text else "missing"
        raise UnreadableOrder(f"orders_id: {wrong}, expected 1 to {_LONGEST_ID} characters")
    return order_id


def _customer(order: etree._Element) -> Customer:
    read = _Fields(order.find("customers"))
    return Customer(
        first_name=read.text("customers_firstname"),
        last_name=read.text("customers_lastname"),
        company=read.text("customers_company"),
        email=read.text("customers_email_address"),
        phone=read.text("customers_telephone"),
    )


def _address(order: etree._Element, party: str) -> Address:
    """The address of `customers` or `delivery`, whose fields bear the party's name."""
    read = _Fields(order.find(party))
    return Address(
        first_name=read.text(f"{party}_firstname"),
        last_name=read.text(f"{party}_lastname"),
        company=read.text(f"{party}_company"),
        street=read.text(f"{party}_street_address"),
        suburb=read.text(f"{party}_suburb"),
        city=read.text(f"{party}_city"),
        postcode=read.text(f"{party}_postcode"),
        state=read.text(f"{party}_state"),
        country=read.text(f"{party}_country"),
    )


def _relay(order: etree._Element) -> Relay | None:
    """The collection point, if the order names one: the element alone may stand there empty."""
    element = order.find("delivery/relay_info")
    if element is None or not _text_of(element).strip():
        return None
    read = _Fields(element)
    return Relay(
        id=read.text("relay_id"),
        type=read.text("relay_type"),
        name=read.text("relay_name"),
        address=read.text("relay_address"),
        city=read.text("relay_city"),
        postcode=read.text("relay_postcode"),
        country=read.text("relay_country_iso"),
    )


def _lines(order: etree._Element) -> tuple[Line, ...]:
    lines = tuple(
        _line(number, product)
        for number, product in enumerate(order.iterfind("products/product"), start=1)
    )
    if not lines:
        raise UnreadableOrder("products/product: none, expected at least one")
    return lines


def _line(number: int, product: etree._Element) -> Line:
    read = _Fields(product, f"product {number}, ")
    quantity = read.required("products_qty", _quantity)
    unit_price, discounted = _unit_prices(read, number)
    line_total = read.optional("products_final_price", parse_amount)
    return Line(
        line=number,
        reference=read.text("products_reference"),
        size_reference=read.text("products_size_reference"),
        spartoo_product_id=_product_number(read.text("products_spartoo")),
        name=read.text("products_name"),
        brand=read.text("products_manufacturers"),
        size=read.text("products_size"),
        color=read.text("products_color"),
        quantity=quantity,
        unit_price=unit_price,
        unit_price_discounted=discounted,
        line_total=(
            _EXACT.multiply(discounted, Decimal(quantity)) if line_total is None else line_total
        ),
    )


def _quantity(text: str) -> int:
    count = parse_count(text)
    if count < 1:
        raise BadField(text, "a quantity of at least 1")
    return count


def _unit_prices(read: _Fields, number: int) -> tuple[Decimal, Decimal]:
    """List price and price after discount; where one is missing the other stands for it.

    Assumed: without `products_price_unit_with_reduce` there was no discount.
    """
    listed = read.optional("products_price_unit", parse_amount)
    discounted = read.optional("products_price_unit_with_reduce", parse_amount)
    unit_price = discounted if listed is None else listed
    if unit_price is None:
        raise UnreadableOrder(
            f"product {number}, products_price_unit and products_price_unit_with_reduce: "
            "both missing, expected an amount like 64.90"
        )
    return unit_price, unit_price if discounted is None else discounted


def _product_number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
