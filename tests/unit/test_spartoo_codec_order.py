"""One exported order → the marketplace's facts: every field, every liberty, every refusal."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from adapters.ports import UnreadableOrder
from adapters.spartoo.order import SpartooOrder
from statemachine.model import Address, Customer, Line, MarketplaceOrder, OrderId, Payment, Relay

PARIS = ZoneInfo("Europe/Paris")

FULL = """<order>
  <orders_id> 3FF75E96C3434e92 </orders_id>
  <customers>
    <customers_firstname>Ada</customers_firstname><customers_lastname>Muster</customers_lastname>
    <customers_company>ACME</customers_company>
    <customers_street_address>1 rue A</customers_street_address>
    <customers_suburb>Bât. B</customers_suburb><customers_city>Lyon</customers_city>
    <customers_postcode>01000</customers_postcode><customers_state>Ain</customers_state>
    <customers_country>France</customers_country>
    <customers_email_address>ada@example.org</customers_email_address>
    <customers_telephone>0100000000</customers_telephone>
  </customers>
  <delivery>
    <delivery_firstname>Bob</delivery_firstname><delivery_lastname>Beispiel</delivery_lastname>
    <delivery_company/><delivery_suburb></delivery_suburb>
    <delivery_street_address><![CDATA[2 rue <B> & C]]></delivery_street_address>
    <delivery_city>Metz</delivery_city><delivery_postcode>57000</delivery_postcode>
    <delivery_state/><delivery_country>France</delivery_country>
    <relay_info>
      <relay_id>R1</relay_id><relay_type>MR</relay_type><relay_name>Tabac</relay_name>
      <relay_address>3 rue C</relay_address><relay_city>Metz</relay_city>
      <relay_postcode>57000</relay_postcode><relay_country_iso>FR</relay_country_iso>
    </relay_info>
  </delivery>
  <payment_method>CB</payment_method><payment_price>0.00</payment_price>
  <shipping_price>4.90</shipping_price><shipping_name>Colissimo</shipping_name>
  <order_total>134.70</order_total>
  <orders_status_name>verified</orders_status_name><orders_status_id>11</orders_status_id>
  <date_purchased>2026-11-20 09:12:00</date_purchased>
  <last_modified>2026-07-20 09:30:00</last_modified>
  <products>
    <product>
      <products_reference>98</products_reference>
      <products_size_reference>98_38</products_size_reference>
      <products_name>Bottes</products_name><products_manufacturers>Marque</products_manufacturers>
      <products_size>38</products_size><products_color>noir</products_color>
      <products_spartoo>123</products_spartoo><products_qty>2</products_qty>
      <products_price_unit>79.90</products_price_unit>
      <products_price_unit_with_reduce>64.90</products_price_unit_with_reduce>
      <products_final_price>129.80</products_final_price>
    </product>
  </products>
  <errors/>
</order>"""


def read(xml: str, zone: ZoneInfo = PARIS) -> MarketplaceOrder:
    return SpartooOrder.from_xml(xml.encode(), zone, "EUR").read()


def with_field(name: str, value: str | None) -> str:
    """The full order with another text in the first element of that name, or without it."""
    opening, closing = f"<{name}>", f"</{name}>"
    before, _, rest = FULL.partition(opening)
    _, _, after = rest.partition(closing)
    return before + after if value is None else f"{before}{opening}{value}{closing}{after}"


def reason(xml: str) -> str:
    with pytest.raises(UnreadableOrder) as caught:
        read(xml)
    return str(caught.value)


def test_every_field() -> None:
    assert read(FULL) == MarketplaceOrder(
        order_id=OrderId("3FF75E96C3434e92"),
        status=11,
        purchased_at=datetime(2026, 11, 20, 9, 12, tzinfo=PARIS),
        modified_at=datetime(2026, 7, 20, 9, 30, tzinfo=PARIS),
        currency="EUR",
        total=Decimal("134.70"),
        shipping_price=Decimal("4.90"),
        shipping_service="Colissimo",
        payment=Payment("CB", Decimal("0.00")),
        customer=Customer("Ada", "Muster", "ACME", "ada@example.org", "0100000000"),
        billing_address=Address(
            "Ada", "Muster", "ACME", "1 rue A", "Bât. B", "Lyon", "01000", "Ain", "France"
        ),
        shipping_address=Address(
            "Bob", "Beispiel", "", "2 rue <B> & C", "", "Metz", "57000", "", "France"
        ),
        relay=Relay("R1", "MR", "Tabac", "3 rue C", "Metz", "57000", "FR"),
        lines=(
            Line(
                line=1,
                reference="98",
                size_reference="98_38",
                spartoo_product_id=123,
                name="Bottes",
                brand="Marque",
                size="38",
                color="noir",
                quantity=2,
                unit_price=Decimal("79.90"),
                unit_price_discounted=Decimal("64.90"),
                line_total=Decimal("129.80"),
            ),
        ),
    )
    assert str(read(FULL).total) == "134.70"


def test_the_zone_gives_the_offset() -> None:
    order = read(FULL)
    assert order.purchased_at.isoformat() == "2026-11-20T09:12:00+01:00"
    assert order.modified_at is not None
    assert order.modified_at.isoformat() == "2026-07-20T09:30:00+02:00"
    athens = read(FULL, ZoneInfo("Europe/Athens"))
    assert athens.purchased_at.isoformat() == "2026-11-20T09:12:00+02:00"


def test_the_least_an_order_may_have() -> None:
    order = read(
        "<order><new><thing>1</thing></new><products><product><products_qty>1</products_qty>"
        "<products_price_unit>5</products_price_unit></product></products>"
        "<date_purchased>2026-01-02</date_purchased><orders_status_id> 2 </orders_status_id>"
        "<orders_id>x</orders_id></order>"
    )
    assert (order.order_id, order.status) == ("x", 2)
    assert order.purchased_at == datetime(2026, 1, 2, tzinfo=PARIS)
    assert (order.modified_at, order.total, order.shipping_price) == (None, None, None)
    assert (order.customer, order.relay, order.payment) == (Customer(), None, Payment())
    assert order.billing_address == order.shipping_address == Address()
    assert order.lines[0].spartoo_product_id is None


@pytest.mark.parametrize(
    ("sent", "amount"),
    [
        ("64.90", "64.90"),
        ("64,90", "64.90"),
        (" 1 234,5 ", "1234.5"),
        ("1\xa0234.50", "1234.50"),
        ("1\u202f234.50", "1234.50"),
        ("0", "0"),
        ("64.900000000000006", "64.900000000000006"),
    ],
)
def test_amounts_are_exactly_as_sent(sent: str, amount: str) -> None:
    assert str(read(with_field("order_total", sent)).total) == amount


@pytest.mark.parametrize(
    "sent",
    ["NaN", "inf", "1e3", "--1.00", "+1", "abc", "1.2.3", "1,234.50", "64.90 EUR", "9" * 13, "٣"],
)
@pytest.mark.parametrize(
    "field", ["order_total", "shipping_price", "payment_price", "products_price_unit"]
)
def test_what_is_no_amount_is_refused_with_field_and_value(field: str, sent: str) -> None:
    message = reason(with_field(field, sent))
    assert field in message
    assert repr(sent) in message
    assert "an amount like 64.90" in message


@pytest.mark.parametrize(
    "sent",
    [
        "2026-11-20 09:12:00",
        "2026-11-20T09:12:00",
        "2026-11-20:09:12:00",
        " 2026-11-20  09:12:00 ",
    ],
)
def test_ways_to_write_a_date(sent: str) -> None:
    expected = datetime(2026, 11, 20, 9, 12, tzinfo=PARIS)
    assert read(with_field("date_purchased", sent)).purchased_at == expected


@pytest.mark.parametrize("sent", ["", "0000-00-00 00:00:00", "0000-00-00", None])
def test_never_modified(sent: str | None) -> None:
    assert read(with_field("last_modified", sent)).modified_at is None


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "0000-00-00 00:00:00",
        "2026-02-30 10:00:00",
        "2026-01-01 25:00:00",
        "20.11.2026",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
        "1795164720",
        "2026-11-20 09:12:00junk",
    ],
)
def test_what_is_no_date_of_purchase_is_refused(sent: str) -> None:
    message = reason(with_field("date_purchased", sent))
    assert message.startswith("date_purchased: ")
    assert "expected a date" in message if not sent else repr(sent) in message


@pytest.mark.parametrize("field", ["orders_id", "orders_status_id", "date_purchased"])
@pytest.mark.parametrize("value", ["", "  ", None])
def test_required_fields(field: str, value: str | None) -> None:
    message = reason(with_field(field, value))
    assert message.startswith(f"{field}: missing, expected ")


@pytest.mark.parametrize("status", ["eleven", "-11", "1.5", "11 2", "9" * 10])
def test_a_status_is_a_whole_number(status: str) -> None:
    message = reason(with_field("orders_status_id", status))
    assert message == f"orders_status_id: {status!r} is not a whole number"


@pytest.mark.parametrize("quantity", ["-1", "", "two", "1.5", "100001"])
def test_a_quantity_is_0_to_100000(quantity: str) -> None:
    assert reason(with_field("products_qty", quantity)).startswith("product 1, products_qty: ")


@pytest.mark.parametrize(
    "field", ["products_price_unit", "products_price_unit_with_reduce", "products_final_price"]
)
def test_a_voucher_line_is_kept_as_it_came(field: str) -> None:
    (voucher, *_) = read(with_field(field, "-10.00")).lines
    assert voucher.is_unusual
    (corrected, *_) = read(with_field("products_qty", "0")).lines
    assert corrected.is_unusual


def test_a_quantity_with_decimals_of_zero() -> None:
    assert read(with_field("products_qty", "3.00")).lines[0].quantity == 3


def test_no_products() -> None:
    assert "products/product: none" in reason(with_field("products", ""))


def test_each_product_is_a_line_and_a_bad_one_is_named() -> None:
    product = FULL[FULL.index("<product>") : FULL.index("</product>") + len("</product>")]
    two = FULL.replace(product, product + product.replace("98_38", "98_39"))
    assert [(line.line, line.size_reference) for line in read(two).lines] == [
        (1, "98_38"),
        (2, "98_39"),
    ]
    bad = product.replace("<products_qty>2", "<products_qty>none")
    assert "product 2, products_qty: 'none'" in reason(FULL.replace(product, product + bad))


def test_a_missing_unit_price_is_the_other_one() -> None:
    (line,) = read(with_field("products_price_unit_with_reduce", "")).lines
    assert (line.unit_price, line.unit_price_discounted) == (Decimal("79.90"), Decimal("79.90"))
    (line,) = read(with_field("products_price_unit", None)).lines
    assert (line.unit_price, line.unit_price_discounted) == (Decimal("64.90"), Decimal("64.90"))


def test_without_any_price_it_cannot_be_read() -> None:
    xml = with_field("products_price_unit", "").replace("64.90", "")
    assert "products_price_unit and products_price_unit_with_reduce: both missing" in reason(xml)


def test_a_missing_line_total_is_unit_price_times_quantity() -> None:
    (line,) = read(with_field("products_final_price", None)).lines
    assert str(line.line_total) == "129.80"


def test_a_missing_line_total_is_exact_whatever_the_digits() -> None:
    price = "111111111111.11111111111111111111"
    xml = with_field("products_final_price", "").replace("64.90", price)
    (line,) = read(xml.replace("<products_qty>2", "<products_qty>9")).lines
    assert str(line.line_total) == "999999999999.99999999999999999999"


@pytest.mark.parametrize("number", ["", "abc", "-3", "9" * 19])
def test_the_marketplaces_product_number_may_be_anything(number: str) -> None:
    assert read(with_field("products_spartoo", number)).lines[0].spartoo_product_id is None


@pytest.mark.parametrize("relay", ["", "\n", "<relay_id/><relay_name> </relay_name>", None])
def test_an_empty_relay_is_none(relay: str | None) -> None:
    assert read(with_field("relay_info", relay)).relay is None


def test_a_relay_with_one_field() -> None:
    xml = with_field("relay_info", "<relay_name>Tabac</relay_name>")
    assert read(xml).relay == Relay(name="Tabac")


def test_the_first_text_that_is_not_empty_counts() -> None:
    empty = "<shipping_name/><shipping_name> </shipping_name>"
    xml = FULL.replace("<shipping_name>", f"{empty}<shipping_name>")
    assert read(xml).shipping_service == "Colissimo"


class TestReportedErrors:
    ERROR = (
        "<errors><error><id>-6</id><description>order\n not found</description></error></errors>"
    )

    def test_a_negative_code_is_told(self) -> None:
        xml = FULL.replace("<errors/>", self.ERROR)
        assert reason(xml).endswith("answers -6 for this order: order not found")
        assert SpartooOrder.from_xml(xml.encode(), PARIS, "EUR").reported_code() == -6

    @pytest.mark.parametrize("code", ["1", "0", "", "none"])
    def test_anything_else_is_no_error(self, code: str) -> None:
        xml = FULL.replace("<errors/>", self.ERROR.replace("-6", code))
        assert read(xml) == read(FULL)
        assert SpartooOrder.from_xml(xml.encode(), PARIS, "EUR").reported_code() is None


def test_messages_show_a_value_shortened() -> None:
    message = reason(with_field("order_total", "x" * 500))
    assert "x" * 60 + "…" in message
    assert "x" * 61 not in message


def test_an_id_too_long_is_none() -> None:
    xml = with_field("orders_id", "A" * 65)
    assert reason(xml) == "orders_id: 65 characters, expected 1 to 64 characters"


@pytest.mark.parametrize(
    "xml",
    [
        "<order><orders_id>A1</orders_id>",
        "<order>< <orders_id> A1 </orders_id>",
        "<order><orders_id><![CDATA[A1]]></orders_id",
        '<order><orders_id type="x">A1<',
    ],
)
def test_the_id_of_a_broken_order_is_found(xml: str) -> None:
    order = SpartooOrder.from_xml(xml.encode(), PARIS, "EUR")
    assert order.id == "A1"
    with pytest.raises(UnreadableOrder, match="not well-formed"):
        order.read()


def test_another_element_is_no_order() -> None:
    assert reason("<return><orders_id>1</orders_id></return>") == (
        "order: found an element 'return' in its place"
    )
