"""The invented small shoe catalogue: 12 models, their sizes as variants.

A variant's `products_size_reference` ("98_38") is the catalogue id of its product. The EANs start
with 2, the range kept for internal use: no such article is on sale anywhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

BRAND = "Atelier Fictif"
CURRENCY = "EUR"


@dataclass(frozen=True, slots=True)
class Model:
    """A shoe model; prices in cents, tax included."""

    reference: str
    name: str
    color: str
    original_price: int
    final_price: int
    sizes: range


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of a model: what an order line sells."""

    model: Model
    size: str
    size_reference: str
    sku: str
    ean: str
    stock: int
    spartoo_number: int


_WOMEN = range(36, 42)
_MEN = range(40, 46)
MODELS = (
    Model("90", "Bottines Éloïse", "Noir", 11900, 9900, _WOMEN),
    Model("91", "Ballerines Noémie", "Rouge", 5900, 4900, _WOMEN),
    Model("92", "Sandales Été", "Doré", 4500, 3999, _WOMEN),
    Model("93", "Escarpins Zoé", "Bleu nuit", 8900, 8900, _WOMEN),
    Model("94", "Baskets Maëlle", "Blanc cassé", 7499, 6499, _WOMEN),
    Model("95", "Mocassins Gaël", "Marron", 9500, 7999, _MEN),
    Model("96", "Derbies Anselme", "Cognac", 12900, 10900, _MEN),
    Model("97", "Boots Forêt", "Vert foncé", 13900, 13900, _MEN),
    Model("98", "Baskets Léonce", "Gris & blanc", 7999, 6499, range(36, 46)),
    Model("99", "Espadrilles Côte", "Écru", 3500, 2900, range(36, 46)),
    Model("100", "Chaussons Noël", "Rouge", 2990, 2490, range(36, 46)),
    Model("101", "Bottes de pluie Bruine", "Jaune", 5500, 5100, range(36, 46)),
)


def _ean13(number: int) -> str:
    digits = f"2{number:011d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"


def _variants() -> Iterator[Variant]:
    number = 0
    for model in MODELS:
        for size in model.sizes:
            number += 1
            yield Variant(
                model=model,
                size=str(size),
                size_reference=f"{model.reference}_{size}",
                sku=f"AF-{model.reference}-{size}",
                ean=_ean13(number),
                stock=0 if number % 9 == 0 else 5 + number * 7 % 40,
                spartoo_number=700_000 + number,
            )


VARIANTS: Mapping[str, Variant] = MappingProxyType({v.size_reference: v for v in _variants()})


def format_cents(cents: int) -> str:
    """Cents as the marketplace writes money: a dot and two decimals."""
    return f"{cents // 100}.{cents % 100:02d}"


def catalog_products(stock: int | None = None) -> list[dict[str, object]]:
    """The catalogue as the `products` of a `catalog.upsert` command.

    About one variant in nine has no stock; `stock` gives every variant the same instead.
    """
    return [_product(variant, stock) for variant in VARIANTS.values()]


def _product(variant: Variant, stock: int | None) -> dict[str, object]:
    model = variant.model
    return {
        "id": variant.size_reference,
        "sku": variant.sku,
        "ean": variant.ean,
        "name": f"{model.name} {variant.size}",
        "stock": variant.stock if stock is None else stock,
        "price_final_incl_tax": format_cents(model.final_price),
        "price_original_incl_tax": format_cents(model.original_price),
        "currency": CURRENCY,
        "attributes": {
            "brand": BRAND,
            "reference": model.reference,
            "size": variant.size,
            "color": model.color,
        },
    }
