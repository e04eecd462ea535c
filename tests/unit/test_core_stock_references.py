"""Which references a product bears on the marketplace."""

from statemachine.stock import marketplace_references
from tests.unit.builders import product


def test_the_identifying_value_is_the_size_reference() -> None:
    boot = product("98_38", sku="S-38", ean="400", attributes={"ref": "R-38"})
    assert marketplace_references(boot, "id", None) == ("98_38", "98_38")
    assert marketplace_references(boot, "sku", None) == ("S-38", "S-38")
    assert marketplace_references(boot, "ref", None) == ("R-38", "R-38")


def test_the_reference_comes_from_the_catalogue_then_from_orders() -> None:
    given = {"products_reference": "98", "reference": "old"}
    assert marketplace_references(product("a", attributes=given), "id", "seen") == ("98", "a")
    assert marketplace_references(
        product("a", attributes={"products_reference": "", "reference": "97"}), "id", "seen"
    ) == ("97", "a")
    assert marketplace_references(product("a"), "id", "seen") == ("seen", "a")


def test_a_product_without_the_identifying_value_has_none() -> None:
    assert marketplace_references(product("a", sku=None), "sku", "98") is None
    assert marketplace_references(product("a", ean=""), "ean", "98") is None
