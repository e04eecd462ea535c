"""Availability: matching references to products, reservations, and the store's own numbers."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from statemachine.model import (
    CatalogId,
    ConnectionId,
    OrderId,
    Product,
    ProductId,
    ProductUpdate,
)
from statemachine.stock import Catalogue, Reservation, Restocked, ordered, restock
from tests.unit.builders import HOUR, NOW, line, product

P = ProductId("10001")
CATALOG = CatalogId("default")
EARLIER = NOW - 2 * HOUR
KEPT = NOW - HOUR  # the as_of of product()
AFTER = NOW + HOUR


def reservation(quantity: int, known_at: datetime | None, order: str = "A") -> Reservation:
    return Reservation(ConnectionId("shoes-fr"), OrderId(order), P, quantity, known_at)


def restocked(
    before: Product | None, update: ProductUpdate, *held: Reservation, now: datetime = NOW
) -> Restocked:
    result = restock(CATALOG, before, update, held, now)
    assert result is not None
    return result


# --- which product a line means ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "given"),
    [
        ("id", {}),
        ("sku", {"sku": "X-1"}),
        ("ean", {"ean": "X-1"}),
        ("supplier_code", {"attributes": {"supplier_code": "X-1"}}),
    ],
)
def test_a_line_is_identified_by_any_attribute_of_the_catalogue(
    attribute: str, given: dict[str, object]
) -> None:
    wanted = product("X-1" if attribute == "id" else "P", **given)
    other = product("other", sku="o", ean="o", attributes={"supplier_code": "o"})
    catalogue = Catalogue([other, wanted], attribute)
    assert catalogue.matches([line(reference="X-1")]) == {1: wanted.id}


@pytest.mark.parametrize(
    ("size_reference", "reference", "ids", "found"),
    [
        ("98_38", "98", ["98_38", "98"], "98_38"),
        ("98_38", "98", ["98"], None),
        ("98_38", "98", ["98_38"], "98_38"),
        ("", "98", ["98"], "98"),
        ("98_38", "", ["98_38"], "98_38"),
        ("98_38", "98", ["97"], None),
        ("", "", ["98"], None),
    ],
)
def test_a_line_with_a_size_reference_is_matched_by_it_alone(
    size_reference: str, reference: str, ids: list[str], found: str | None
) -> None:
    catalogue = Catalogue([product(i) for i in ids], "id")
    ordered_line = line(reference=reference, size_reference=size_reference)
    assert catalogue.matches([ordered_line]) == ({1: found} if found else {})


def test_an_ambiguous_size_reference_is_not_settled_by_the_reference() -> None:
    catalogue = Catalogue(
        [product("1", sku="98_38"), product("2", sku="98_38"), product("3", sku="98")], "sku"
    )
    ambiguous = line(reference="98", size_reference="98_38")
    assert sorted(catalogue.candidates(ambiguous)) == ["1", "2"]
    assert catalogue.matches([ambiguous]) == {}


def test_products_without_a_value_are_nobodys() -> None:
    catalogue = Catalogue([product("1", ean=""), product("2", ean=None)], "ean")
    assert catalogue.candidates(line(reference="", size_reference="")) == ()


def test_units_are_counted_per_product_and_unmatched_lines_count_nothing() -> None:
    lines = [line(1, quantity=2), line(2, quantity=3), line(3, quantity=7)]
    assert ordered(lines, {1: P, 2: P}) == {P: 5}


# --- available and shortfall ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stock", "reserved", "available", "shortfall"),
    [(5, 0, 5, 0), (5, 3, 2, 0), (5, 5, 0, 0), (5, 7, 0, 2), (0, 0, 0, 0)],
)
def test_availability(stock: int, reserved: int, available: int, shortfall: int) -> None:
    held = product(stock=stock, reserved=reserved)
    assert (held.available, held.shortfall) == (available, shortfall)


def test_a_catalogue_keeps_up_with_what_steps_reserve() -> None:
    catalogue = Catalogue([product(stock=5)], "id")
    catalogue.adjust({P: 3, ProductId("not loaded"): 1})
    assert catalogue[P].available == 2
    catalogue.adjust({P: -3})
    assert catalogue[P].available == 5


def test_a_catalogue_without_a_promise_leaves_the_original_alone() -> None:
    catalogue = Catalogue([product(stock=5, reserved=2)], "id")
    assert catalogue.without({P: 2})[P].available == 5
    assert catalogue[P].available == 3


# --- reservations and the store's word -----------------------------------------------------------


@pytest.mark.parametrize(
    ("known_at", "as_of", "counts"),
    [
        (None, None, True),
        (None, NOW, True),
        (NOW, None, True),
        (NOW, NOW - timedelta(microseconds=1), True),
        (NOW, NOW, False),
        (NOW, NOW + HOUR, False),
    ],
)
def test_a_reservation_counts_until_a_number_from_after_the_store_knew(
    known_at: datetime | None, as_of: datetime | None, counts: bool
) -> None:
    assert reservation(1, known_at).counts_against(as_of) is counts


def test_a_new_number_replaces_what_the_store_knew_and_keeps_the_rest() -> None:
    unknown = reservation(1, None, "unknown")
    known = reservation(2, NOW - timedelta(minutes=30), "known")
    later = reservation(4, AFTER, "later")
    before = product(stock=10, reserved=7)
    result = restocked(before, ProductUpdate(P, stock=8), unknown, known, later)
    assert result.replaced == (known,)
    assert (result.product.stock, result.product.reserved) == (8, 5)
    assert result.delta == 0  # 2 sold, 2 no longer reserved: nothing counted twice or not at all


@pytest.mark.parametrize(
    ("as_of", "kept_as_of", "stock"),
    [
        (None, NOW, 3),  # arrival
        (NOW, NOW, 3),
        (KEPT, KEPT, 3),
        (AFTER, NOW, 3),  # no number speaks of the future
        (EARLIER, KEPT, 5),  # older than the one kept
    ],
)
def test_a_stock_number_speaks_of_a_moment(
    as_of: datetime | None, kept_as_of: datetime, stock: int
) -> None:
    update = ProductUpdate(P, name="Boot", stock=3, as_of=as_of)
    after = restocked(product(), update).product
    assert (after.as_of, after.stock, after.name) == (kept_as_of, stock, "Boot")


def test_a_number_dated_in_the_future_does_not_replace_what_becomes_known_later() -> None:
    lag = reservation(1, NOW + HOUR)
    update = ProductUpdate(P, stock=5, as_of=NOW + 2 * HOUR)
    result = restocked(product(reserved=1), update, lag)
    assert (result.replaced, result.product.reserved) == ((), 1)


def test_an_older_number_leaves_the_reservations_alone() -> None:
    update = ProductUpdate(P, stock=0, as_of=EARLIER)
    held = reservation(1, NOW - 3 * HOUR)
    assert restock(CATALOG, product(reserved=1), update, [held], NOW) is None


@pytest.mark.parametrize(
    "update",
    [
        ProductUpdate(P),
        ProductUpdate(P, stock=5, as_of=KEPT),
        ProductUpdate(P, as_of=NOW),
        ProductUpdate(P, price_final_incl_tax=Decimal("64.99"), attributes={}),
    ],
)
def test_an_update_that_changes_nothing_is_none(update: ProductUpdate) -> None:
    assert restock(CATALOG, product(), update, [], NOW) is None


def test_a_falling_number_makes_a_shortfall() -> None:
    result = restocked(product(reserved=3), ProductUpdate(P, stock=1), reservation(3, None))
    assert (result.product.available, result.product.shortfall) == (0, 2)
    assert result.delta == -4


def test_a_new_product_has_what_is_given() -> None:
    update = ProductUpdate(P, sku="S", stock=4, currency="EUR", attributes={"color": "red"})
    assert restocked(None, update) == Restocked(
        Product(
            CATALOG, P, sku="S", stock=4, as_of=NOW, currency="EUR", attributes={"color": "red"}
        ),
        (),
        4,
    )


def test_a_new_product_without_anything_is_still_a_product() -> None:
    assert restocked(None, ProductUpdate(P)) == Restocked(Product(CATALOG, P), (), 0)


def test_what_is_left_out_stays_as_it_is_and_attributes_are_merged() -> None:
    before = product(sku="S", ean="E", currency="EUR", attributes={"color": "red", "size": "38"})
    update = ProductUpdate(
        P, ean="E2", price_final_incl_tax=Decimal("0.00"), attributes={"size": "39"}
    )
    after = restocked(before, update).product
    assert (after.sku, after.ean, after.currency, after.stock) == ("S", "E2", "EUR", 5)
    assert after.price_final_incl_tax == Decimal("0.00")
    assert after.attributes == {"color": "red", "size": "39"}


def test_acknowledging_changes_nothing_by_itself_the_next_number_replaces_both() -> None:
    held = reservation(2, NOW)
    before = product(stock=5, reserved=2)  # a number from before the acknowledgement
    assert held.counts_against(before.as_of)
    result = restocked(before, ProductUpdate(P, stock=3), held, now=NOW + HOUR)
    assert (before.available, result.product.available) == (3, 3)
