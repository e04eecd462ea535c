"""Availability: the store's word, less what we have promised and the store does not know yet.

reserved  = quantities of accepted or to-be-accepted orders with known_at unset or after `as_of`
available = stock - reserved, never below 0; shortfall = what would be below 0
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from statemachine.model import (
    CatalogId,
    ConnectionId,
    Line,
    OrderId,
    Product,
    ProductId,
    ProductUpdate,
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Units of a product promised to an order; the store's numbers include it from `known_at`."""

    connection: ConnectionId
    order_id: OrderId
    product_id: ProductId
    quantity: int
    known_at: datetime | None

    def counts_against(self, as_of: datetime | None) -> bool:
        """True while a stock number as of that moment does not include this order."""
        return self.known_at is None or as_of is None or self.known_at > as_of


class Catalogue:
    """The products a batch of steps looks at; `adjust` keeps up with what they reserve."""

    def __init__(self, products: Iterable[Product], attribute: str):
        self._attribute = attribute
        self._products = {product.id: product for product in products}
        self._by_value: dict[str, list[ProductId]] = {}
        for product in self._products.values():
            value = product.identified_by(attribute)
            if value:
                self._by_value.setdefault(value, []).append(product.id)

    def __getitem__(self, product_id: ProductId) -> Product:
        return self._products[product_id]

    def candidates(self, line: Line) -> Sequence[ProductId]:
        """Products the line may mean, by its size reference alone where it has one.

        A size that the catalogue lacks is never sold from its model's stock.
        """
        return self._by_value.get(line.identifier, ()) if line.identifier else ()

    def matches(self, lines: Iterable[Line]) -> dict[int, ProductId]:
        """Line number → product, for the lines that mean exactly one."""
        found = ((line.line, self.candidates(line)) for line in lines)
        return {number: ids[0] for number, ids in found if len(ids) == 1}

    def adjust(self, reserved: Mapping[ProductId, int]) -> None:
        """Take over what a step reserved (or, negative, released)."""
        for product_id, quantity in reserved.items():
            product = self._products.get(product_id)
            if product is not None:
                self._products[product_id] = with_reserved(product, quantity)

    def without(self, reserved: Mapping[ProductId, int]) -> "Catalogue":
        """The same products as if these units had not been promised."""
        other = Catalogue(self._products.values(), self._attribute)
        other.adjust({product_id: -quantity for product_id, quantity in reserved.items()})
        return other

    def get(self, product_id: ProductId) -> Product | None:
        """The product, if it was loaded."""
        return self._products.get(product_id)


def with_reserved(product: Product, quantity: int) -> Product:
    """The product with so many units more (or less) reserved."""
    return replace(product, reserved=product.reserved + quantity)


def marketplace_references(
    product: Product, attribute: str, shown: str | None
) -> tuple[str, str] | None:
    """(products_reference, products_size_reference); None where the product does not bear any.

    The second is the Product Identification Attribute's value. The first is the catalogue's
    attribute `products_reference`, else `reference`, else what orders have `shown`, else the same.
    """
    size_reference = product.identified_by(attribute)
    if not size_reference:
        return None
    given = (product.attributes.get(name) for name in ("products_reference", "reference"))
    return next(filter(None, (*given, shown)), size_reference), size_reference


def ordered(lines: Iterable[Line], products: Mapping[int, ProductId]) -> dict[ProductId, int]:
    """Units per product; several lines of one product count together."""
    units: dict[ProductId, int] = {}
    for line in lines:
        product_id = products.get(line.line)
        if product_id is not None and not line.is_unusual:
            units[product_id] = units.get(product_id, 0) + line.quantity
    return units


@dataclass(frozen=True, slots=True)
class Restocked:
    """What a product update changes; `replaced` reservations are now in the store's number."""

    product: Product
    replaced: tuple[Reservation, ...]
    delta: int  # movement of stock - reserved


def restock(
    catalog: CatalogId,
    product: Product | None,
    update: ProductUpdate,
    reservations: Iterable[Reservation],
    now: datetime,
) -> Restocked | None:
    """Apply what the store says of a product; None when that changes nothing.

    A stock number speaks of `as_of` (arrival if not given, and never of the future); one older
    than the number kept is ignored, the other fields are taken all the same.
    """
    before = product or Product(catalog=catalog, id=update.id)
    after = _described(before, update)
    replaced: tuple[Reservation, ...] = ()
    if update.stock is not None:
        as_of = min(update.as_of or now, now)
        if before.as_of is None or as_of >= before.as_of:
            replaced = tuple(r for r in reservations if not r.counts_against(as_of))
            reserved = before.reserved - sum(r.quantity for r in replaced)
            after = replace(after, stock=update.stock, as_of=as_of, reserved=reserved)
    if product is not None and after == product:
        return None
    delta = (after.stock - after.reserved) - (before.stock - before.reserved)
    return Restocked(after, replaced, delta)


def _described(product: Product, update: ProductUpdate) -> Product:
    given = {
        name: value
        for name in (
            "sku",
            "ean",
            "name",
            "price_final_incl_tax",
            "price_original_incl_tax",
            "currency",
        )
        if (value := getattr(update, name)) is not None
    }
    if update.attributes is not None:
        given["attributes"] = {**product.attributes, **update.attributes}
    return replace(product, **given)
