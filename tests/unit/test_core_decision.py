"""Automatic acceptance: every line in stock and dear enough, or every reason why not."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from statemachine.connection import ConnectionSettings, PriceAttribute
from statemachine.decision import decide
from statemachine.model import Address, Check, Decision, DecisionSettings, Line, Product
from statemachine.stock import Catalogue
from tests.unit.builders import NOW, OFFICE, line, marketplace_order, product, settings


def decided(
    lines: list[Line], products: list[Product], conf: ConnectionSettings | None = None
) -> Decision:
    conf = conf or settings()
    catalogue = Catalogue(products, conf.product_id_attribute)
    return decide(marketplace_order(*lines), conf, catalogue, NOW)


def details(decision: Decision, check: str) -> list[str]:
    return [c.detail for c in decision.checks if c.check == check]


def test_an_order_in_stock_and_dear_enough_is_accepted_with_its_figures() -> None:
    assert decided([line(price="64.99")], [product(price_final_incl_tax=Decimal("64.99"))]) == (
        Decision(
            outcome="accept",
            reasons=(),
            checks=(
                Check(1, "product", True, "id 10001"),
                Check(1, "stock", True, "5 available, 1 ordered"),
                Check(1, "price", True, "64.99 ≥ 0.97 × 64.99 = 63.0403"),
            ),
            settings=DecisionSettings(True, "price_final_incl_tax", Decimal("0.97"), "id"),
            at=NOW,
        )
    )


TWO_ALIKE = [product("1", ean="42"), product("2", ean="42")]
BY_EAN = settings(product_id_attribute="ean")


@pytest.mark.parametrize(
    ("reason", "lines", "products", "conf"),
    [
        ("auto_accept_off", [line()], [product()], settings(auto_accept=False)),
        ("unknown_product", [line()], [], settings()),
        ("unknown_product", [line(reference="")], [product()], settings()),
        ("unknown_product", [line(reference="")], [product(ean=None)], BY_EAN),
        ("ambiguous_product", [line(reference="42")], TWO_ALIKE, BY_EAN),
        ("out_of_stock", [line(quantity=6)], [product()], settings()),
        ("out_of_stock", [line()], [product(stock=3, reserved=3)], settings()),
        ("out_of_stock", [line()], [product(stock=0, as_of=None)], settings()),
        ("price_below_threshold", [line(price="63.04")], [product()], settings()),
        ("no_reference_price", [line()], [product(price_final_incl_tax=None)], settings()),
        ("currency_mismatch", [line()], [product(currency="GBP")], settings()),
    ],
)
def test_one_failing_check_holds_the_order_and_names_its_reason(
    reason: str, lines: list[Line], products: list[Product], conf: ConnectionSettings
) -> None:
    decision = decided(lines, products, conf)
    assert decision.outcome == "hold"
    assert decision.reasons == (reason,)


def test_every_reason_is_given_once_in_the_order_found() -> None:
    decision = decided(
        [line(1, "none"), line(2, "none"), line(3, "1", quantity=9), line(4, "1", price="1.00")],
        [product("1")],
        settings(auto_accept=False),
    )
    assert decision.reasons == (
        "auto_accept_off",
        "unknown_product",
        "out_of_stock",
        "price_below_threshold",
    )


def test_a_product_of_another_currency_without_a_price_gives_both_reasons() -> None:
    decision = decided([line()], [product(currency="GBP", price_final_incl_tax=None)])
    assert decision.reasons == ("currency_mismatch", "no_reference_price")


@pytest.mark.parametrize(
    ("price", "reference", "threshold", "outcome", "detail"),
    [
        ("48.00", "51.00", "0.97", "hold", "48.00 < 0.97 × 51.00 = 49.47"),
        ("63.04", "64.99", "0.97", "hold", "63.04 < 0.97 × 64.99 = 63.0403"),
        ("63.05", "64.99", "0.97", "accept", "63.05 ≥ 0.97 × 64.99 = 63.0403"),
        ("63.0403", "64.99", "0.97", "accept", "63.0403 ≥ 0.97 × 64.99 = 63.0403"),
        ("10", "10", "1", "accept", "10 ≥ 1 × 10 = 10.00"),
        ("100.00", "50.00", "2", "accept", "100.00 ≥ 2 × 50.00 = 100.00"),
    ],
)
def test_the_price_is_compared_exactly(
    price: str, reference: str, threshold: str, outcome: str, detail: str
) -> None:
    decision = decided(
        [line(price=price)],
        [product(price_final_incl_tax=Decimal(reference))],
        settings(price_threshold=threshold),
    )
    assert decision.outcome == outcome
    assert details(decision, "price") == [detail]


def test_nothing_is_rounded_however_long_the_figures() -> None:
    reference = Decimal("12345678901234567890.123456789")
    least = "11975308534197530853.41975308533"
    just_under = decided(
        [line(price="11975308534197530853.41975308532")], [product(price_final_incl_tax=reference)]
    )
    enough = decided([line(price=least)], [product(price_final_incl_tax=reference)])
    assert (just_under.outcome, enough.outcome) == ("hold", "accept")
    assert details(enough, "price")[0].endswith(f"= {least}")


@pytest.mark.parametrize(
    ("attribute", "outcome"),
    [(PriceAttribute.FINAL, "accept"), (PriceAttribute.ORIGINAL, "hold")],
)
def test_the_price_attribute_chooses_the_reference(attribute: PriceAttribute, outcome: str) -> None:
    decision = decided([line()], [product()], settings(price_attribute=attribute))
    assert decision.outcome == outcome
    assert decision.settings.price_attribute == attribute


@pytest.mark.parametrize(
    ("quantities", "outcome", "detail"),
    [
        ((2, 3), "accept", "5 available, 5 ordered"),
        ((3, 3), "hold", "5 available, 6 ordered"),
    ],
)
def test_several_lines_of_one_product_count_together(
    quantities: tuple[int, int], outcome: str, detail: str
) -> None:
    lines = [line(n, quantity=q) for n, q in enumerate(quantities, start=1)]
    decision = decided(lines, [product()])
    assert decision.outcome == outcome
    assert details(decision, "stock") == [detail, detail]


def test_the_figures_of_a_shortage_are_those_of_the_documentation() -> None:
    assert details(decided([line(quantity=2)], [product(stock=1)]), "stock") == [
        "1 available, 2 ordered"
    ]


def test_a_shortfall_counts_as_nothing_available() -> None:
    decision = decided([line()], [product(stock=1, reserved=4)])
    assert details(decision, "stock") == ["0 available, 1 ordered"]


@pytest.mark.parametrize("currency", [None, "EUR"])
def test_a_product_without_currency_has_the_connections(currency: str | None) -> None:
    assert decided([line()], [product(currency=currency)]).outcome == "accept"


def test_prices_of_different_currencies_are_never_compared() -> None:
    decision = decided([line(price="1.00")], [product(currency="GBP")])
    assert details(decision, "currency") == ["ordered in EUR, catalogue price in GBP"]
    assert details(decision, "price") == []


@pytest.mark.parametrize(
    ("products", "passed", "detail"),
    [
        ([product("98_38"), product("98")], True, "id 98_38"),
        ([product("98")], False, "no product with id 98_38"),
        ([product("97")], False, "no product with id 98_38"),
    ],
)
def test_the_detail_names_the_reference_that_was_found(
    products: list[Product], passed: bool, detail: str
) -> None:
    decision = decided([line(reference="98", size_reference="98_38")], products)
    assert decision.checks[0] == Check(1, "product", passed, detail)


def test_the_detail_of_an_ambiguous_reference_names_it() -> None:
    decision = decided([line(reference="42")], TWO_ALIKE, BY_EAN)
    assert decision.checks == (Check(1, "product", False, "2 products with ean 42"),)


def test_one_bad_line_holds_the_order_and_the_good_one_keeps_its_checks() -> None:
    decision = decided([line(1), line(2, "none")], [product()])
    assert decision.outcome == "hold"
    assert [(c.line, c.check, c.passed) for c in decision.checks] == [
        (1, "product", True),
        (1, "stock", True),
        (1, "price", True),
        (2, "product", False),
    ]


def test_the_decision_keeps_the_settings_it_used() -> None:
    conf = settings(
        auto_accept=False,
        price_threshold="0.9",
        price_attribute="price_original_incl_tax",
        product_id_attribute="sku",
    )
    assert decided([line()], [], conf).settings == DecisionSettings(
        auto_accept=False,
        price_attribute="price_original_incl_tax",
        price_threshold=Decimal("0.9"),
        product_id_attribute="sku",
    )


def test_a_size_the_catalogue_lacks_is_never_sold_from_its_models_stock() -> None:
    decision = decided([line(reference="98", size_reference="98_47")], [product("98", stock=89)])
    assert decision.reasons == ("unknown_product",)


def test_a_catalogue_price_of_0_is_no_reference_price() -> None:
    free = product(price_final_incl_tax=Decimal("0.00"))
    assert decided([line(price="0.01")], [free]).reasons == ("no_reference_price",)


@pytest.mark.parametrize(
    ("given", "figures"),
    [
        ({"price": "64.99", "line_total": Decimal("40.00")}, "40.0000 < 0.97"),
        ({"price": "64.99", "quantity": 3, "line_total": Decimal("190.00")}, "63.3333 ≥ 0.97"),
        ({"price": "64.99", "unit_price": Decimal("50.00")}, "50.00 < 0.97"),
    ],
)
def test_the_price_decided_on_is_the_lowest_that_the_line_states(
    given: dict[str, Any], figures: str
) -> None:
    (detail,) = details(decided([line(**given)], [product()]), "price")
    assert detail.startswith(figures)


@pytest.mark.parametrize(
    "unusual",
    [
        line(2, "VOUCHER", price="-10.00"),
        line(2, "10001", quantity=0),
        line(2, "10001", line_total=Decimal("-1.00")),
    ],
)
def test_a_voucher_or_correction_holds_the_order_and_counts_no_stock(unusual: Line) -> None:
    decision = decided([line(), unusual], [product(stock=1)])
    assert decision.reasons == ("unusual_amounts",)
    assert details(decision, "stock")[0] == "1 available, 1 ordered"


@pytest.mark.parametrize("missing", ["first_name", "street", "city", "postcode"])
def test_an_address_that_lacks_a_part_holds_the_order(missing: str) -> None:
    order = marketplace_order(shipping_address=replace(OFFICE, **{missing: ""}))
    catalogue = Catalogue([product()], "id")
    assert decide(order, settings(), catalogue, NOW).reasons == ("incomplete_address",)


def test_the_billing_address_stands_in_for_an_empty_delivery_block() -> None:
    catalogue = Catalogue([product()], "id")
    order = marketplace_order(shipping_address=Address(first_name="Ada"))
    assert decide(order, settings(), catalogue, NOW).outcome == "accept"
    empty = replace(order, billing_address=Address())
    assert decide(empty, settings(), catalogue, NOW).reasons == ("incomplete_address",)
