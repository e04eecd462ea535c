"""What if: the same order under other settings is decided as it would have been."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from statemachine.connection import ConnectionSettings, PriceAttribute
from statemachine.decision import decide
from statemachine.model import Decision, Line, MarketplaceOrder, OrderId, OrderState, Product
from statemachine.stock import Catalogue
from statemachine.what_if import (
    MOST_LISTED,
    KeptOrder,
    Outcomes,
    ReasonCount,
    Supposed,
    WhatIf,
    suppose,
)
from tests.unit.builders import NOW, line, marketplace_order, product, settings

PARIS = ZoneInfo("Europe/Paris")
money = st.decimals("0.01", "99.99", places=2)
thresholds = st.decimals("0.01", "2", places=2)
products = st.lists(
    st.builds(
        product,
        st.sampled_from(["A", "B", "C"]),
        ean=st.sampled_from([None, "42"]),
        stock=st.integers(0, 4),
        price_final_incl_tax=st.none() | money,
        price_original_incl_tax=st.none() | money,
        currency=st.sampled_from([None, "EUR", "GBP"]),
    ),
    max_size=3,
    unique_by=lambda p: p.id,
)
orders = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C", "42", ""]), st.integers(1, 3), money),
    min_size=1,
    max_size=4,
).map(
    lambda items: marketplace_order(
        *(line(n, r, quantity=q, price=p) for n, (r, q, p) in enumerate(items, start=1))
    )
)
configurations = st.builds(
    settings,
    auto_accept=st.booleans(),
    price_attribute=st.sampled_from(PriceAttribute),
    price_threshold=thresholds,
    product_id_attribute=st.sampled_from(["id", "ean"]),
)
supposed = st.builds(
    Supposed,
    auto_accept=st.none() | st.booleans(),
    price_attribute=st.none() | st.sampled_from(PriceAttribute),
    price_threshold=st.none() | thresholds,
)


def decided(
    order: MarketplaceOrder, conf: ConnectionSettings, catalogue: list[Product]
) -> tuple[KeptOrder, Decision]:
    known = Catalogue(catalogue, conf.product_id_attribute)
    decision = decide(order, conf, known, NOW)
    return kept(order, decision, known), decision


def kept(order: MarketplaceOrder, decision: Decision | None, known: Catalogue) -> KeptOrder:
    return KeptOrder(
        order.order_id,
        order.purchased_at,
        OrderState.PENDING_MANUAL,
        decision,
        known.matches(order.lines),
        {item.line: item.unit_price_discounted for item in order.lines},
    )


def same(one: Decision, other: Decision) -> bool:
    """As one another, whatever the order of their reasons."""
    return (one.outcome, set(one.reasons), one.checks, one.settings, one.at) == (
        (other.outcome, set(other.reasons), other.checks, other.settings, other.at)
    )


@given(orders, configurations, products, supposed)
def test_with_the_same_catalogue_it_is_what_would_have_been_decided(
    order: MarketplaceOrder,
    conf: ConnectionSettings,
    catalogue: list[Product],
    change: Supposed,
) -> None:
    record, decision = decided(order, conf, catalogue)
    changed = conf.model_copy(update=change.model_dump(exclude_none=True))
    _, wanted = decided(order, changed, catalogue)
    assert same(suppose(record, decision, change, {p.id: p for p in catalogue}), wanted)


@given(orders, configurations, products, products)
def test_unchanged_settings_change_nothing_whatever_the_catalogue_is_now(
    order: MarketplaceOrder,
    conf: ConnectionSettings,
    catalogue: list[Product],
    catalogue_now: list[Product],
) -> None:
    record, decision = decided(order, conf, catalogue)
    unchanged = Supposed(
        auto_accept=conf.auto_accept,
        price_attribute=conf.price_attribute,
        price_threshold=conf.price_threshold,
    )
    for change in (Supposed(), unchanged):
        found = suppose(record, decision, change, {p.id: p for p in catalogue_now})
        assert same(found, decision)
        counted = WhatIf(PARIS, change)
        counted.take(record, {})
        assert (counted.differ, counted.differing, counted.at_present_prices) == (0, [], 0)


def test_another_threshold_uses_the_prices_of_the_time() -> None:
    record, decision = decided(marketplace_order(line(price="60.00")), settings(), [product()])
    dearer_now = product(price_final_incl_tax=Decimal("999.00"))
    found = suppose(
        record, decision, Supposed(price_threshold=Decimal("0.9")), {dearer_now.id: dearer_now}
    )
    assert (decision.outcome, found.outcome) == ("hold", "accept")
    assert found.checks[-1].detail == "60.00 ≥ 0.9 × 64.99 = 58.491"


def test_another_price_attribute_uses_the_catalogue_of_today() -> None:
    record, decision = decided(marketplace_order(), settings(), [product()])
    change = Supposed(price_attribute=PriceAttribute.ORIGINAL)
    today = product(price_original_incl_tax=Decimal("66.00"))
    found = suppose(record, decision, change, {today.id: today})
    assert found.checks[-1].detail == "64.99 ≥ 0.97 × 66.00 = 64.02"
    assert suppose(record, decision, change, {}).reasons == ("no_reference_price",)


def test_stock_and_products_stand_as_they_were_decided() -> None:
    lines: tuple[Line, ...] = (line(1, quantity=9), line(2, "none"))
    record, decision = decided(marketplace_order(*lines), settings(auto_accept=False), [product()])
    found = suppose(record, decision, Supposed(auto_accept=True), {})
    assert found.reasons == ("out_of_stock", "unknown_product")


def test_the_counts_are_by_outcome_reason_day_and_state() -> None:
    what_if = WhatIf(PARIS, Supposed(price_threshold=Decimal("0.5")))
    night = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)  # an hour later in Paris
    for number, price in enumerate(("40.00", "64.99", "1.00")):
        order = marketplace_order(
            line(price=price),
            order_id=OrderId(str(number)),
            purchased_at=night - number * timedelta(hours=1),
        )
        what_if.take(decided(order, settings(), [product()])[0], {})
    what_if.take(kept(marketplace_order(), None, Catalogue((), "id")), {})
    assert (what_if.orders, what_if.undecided) == (4, 1)
    assert what_if.outcomes == Outcomes(decided=3, accepted=1, would_accept=2)
    assert (what_if.newly_accepted, what_if.newly_held, what_if.differ) == (1, 0, 1)
    assert what_if.newly_accepted_by_state == {OrderState.PENDING_MANUAL: 1}
    assert what_if.by_reason == {"price_below_threshold": ReasonCount(was=2, would_be=1)}
    assert {str(day): found for day, found in what_if.by_day.items()} == {
        "2026-11-21": Outcomes(2, 1, 2),
        "2026-11-20": Outcomes(1, 0, 0),
    }
    assert [d.order_id for d in what_if.differing] == ["0"]


def test_an_order_that_differs_is_listed_with_both_decisions_and_all_are_counted() -> None:
    what_if = WhatIf(PARIS, Supposed(price_threshold=Decimal("0.5")))
    record, was = decided(marketplace_order(line(price="40.00")), settings(), [product()])
    for _ in range(2):
        what_if.take(record, {})
    assert (what_if.newly_accepted, what_if.differ) == (2, 2)
    assert what_if.newly_accepted_by_state == {OrderState.PENDING_MANUAL: 2}
    listed = what_if.differing[0]
    assert (listed.purchased_at, listed.state) == (record.purchased_at, record.state)
    assert (listed.was, listed.would_be.outcome) == (was, "accept")


def test_the_list_is_bounded_and_the_count_is_not() -> None:
    what_if = WhatIf(PARIS, Supposed(auto_accept=False))
    record, _ = decided(marketplace_order(), settings(), [product()])
    for _ in range(MOST_LISTED + 5):
        what_if.take(record, {})
    assert (what_if.newly_held, len(what_if.differing)) == (MOST_LISTED + 5, MOST_LISTED)


@pytest.mark.parametrize("threshold", ["0", "-1", "2.01", "NaN"])
def test_a_threshold_no_connection_may_have_is_refused(threshold: str) -> None:
    with pytest.raises(ValidationError, match="price_threshold"):
        Supposed(price_threshold=Decimal(threshold))
