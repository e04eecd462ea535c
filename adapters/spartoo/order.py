"""One exported order: its XML, and on request the order it describes."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, Inexact
from typing import ClassVar, Self
from zoneinfo import ZoneInfo

from lxml import etree

from adapters.ports import UnreadableOrder
from adapters.spartoo.element import (
    ExportedElement,
    Fields,
    clean_id,
    fingerprint,
    found_id,
    text_of,
)
from adapters.spartoo.fields import (
    BadField,
    is_zero_date,
    parse_amount,
    parse_count,
    parse_date,
    parse_signed_amount,
)
from statemachine.model import (
    Address,
    Customer,
    Line,
    MarketplaceOrder,
    OrderId,
    Payment,
    Relay,
)

_MOST_UNITS = 100_000  # of a line; as many lines as fit in an order's XML stay within 32 bits
_EXACT = Context(prec=60, traps=[Inexact])


@dataclass(frozen=True, slots=True)
class SpartooOrder(ExportedElement):
    """One order of an export (ports.ExportedOrder)."""

    TAG: ClassVar[str] = "order"
    ID_TAG: ClassVar[str] = "orders_id"

    currency: str

    @classmethod
    def from_xml(
        cls, xml: bytes, zone: ZoneInfo, currency: str, *, order_id: str | None = None
    ) -> Self:
        """From the bytes of its element, well-formed or not."""
        seen = found_id(xml, cls.ID_TAG) if order_id is None else order_id
        return cls(clean_id(seen), fingerprint(xml), xml, zone, currency)

    def read(self) -> MarketplaceOrder:
        """Parse it. Raises UnreadableOrder."""
        order = self._readable()
        read, buyer = Fields(order), Fields(order.find("customers"))
        return MarketplaceOrder(
            order_id=OrderId(read.id("orders_id")),
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
            customer=_customer(buyer),
            billing_address=_address(buyer, "customers"),
            shipping_address=_address(Fields(order.find("delivery")), "delivery"),
            relay=_relay(order),
            lines=_lines(order),
        )

    def _moment(self, text: str) -> datetime:
        return parse_date(text, self.zone)

    def _modified_at(self, read: Fields) -> datetime | None:
        if is_zero_date(read.text("last_modified")):
            return None
        return read.required("last_modified", self._moment)


def _customer(read: Fields) -> Customer:
    return Customer(
        first_name=read.text("customers_firstname"),
        last_name=read.text("customers_lastname"),
        company=read.text("customers_company"),
        email=read.text("customers_email_address"),
        phone=read.text("customers_telephone"),
    )


def _address(read: Fields, party: str) -> Address:
    """The address of `customers` or `delivery`, whose fields bear the party's name."""
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
    if element is None or not text_of(element).strip():
        return None
    read = Fields(element)
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
    read = Fields(product, f"product {number}, ")
    quantity = read.required("products_qty", _quantity)
    unit_price, discounted = _unit_prices(read, number)
    line_total = read.optional("products_final_price", parse_signed_amount)
    return Line(
        line=number,
        reference=read.text("products_reference"),
        size_reference=read.text("products_size_reference"),
        spartoo_product_id=read.number("products_spartoo"),
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
    if count > _MOST_UNITS:
        raise BadField(text, f"a quantity of at most {_MOST_UNITS}")
    return count


def _unit_prices(read: Fields, number: int) -> tuple[Decimal, Decimal]:
    """List price and price after discount; where one is missing the other stands for it.

    Without `products_price_unit_with_reduce` the line total says whether there was a discount.
    """
    listed = read.optional("products_price_unit", parse_signed_amount)
    discounted = read.optional("products_price_unit_with_reduce", parse_signed_amount)
    unit_price = discounted if listed is None else listed
    if unit_price is None:
        raise UnreadableOrder(
            f"product {number}, products_price_unit and products_price_unit_with_reduce: "
            "both missing, expected an amount like 64.90"
        )
    return unit_price, unit_price if discounted is None else discounted
