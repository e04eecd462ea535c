"""Automatic acceptance: every line in stock and dear enough, or the order waits with all reasons.

Source: Koongo, "Accept Orders Automatically", "Price Attribute", "Price Attribute Threshold".
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Context, Decimal, Inexact

from statemachine.connection import ConnectionSettings, PriceAttribute
from statemachine.model import Check, Decision, DecisionSettings, Line, MarketplaceOrder, Product
from statemachine.stock import Catalogue, ordered

ACCEPT = "accept"
HOLD = "hold"

_EXACT = Context(prec=200, traps=[Inexact])  # money is never rounded; better fail than guess

Finding = tuple[Check, str | None]  # a check, and the reason it gives when it failed


def decide(
    order: MarketplaceOrder, settings: ConnectionSettings, catalogue: Catalogue, now: datetime
) -> Decision:
    """Decide on an order by the catalogue; the decision keeps every check with its figures."""
    findings = [f for line in order.lines for f in _examine(line, order, settings, catalogue)]
    reasons = [] if settings.auto_accept else ["auto_accept_off"]
    reasons += [reason for _, reason in findings if reason is not None]
    return Decision(
        outcome=HOLD if reasons else ACCEPT,
        reasons=tuple(dict.fromkeys(reasons)),
        checks=tuple(check for check, _ in findings),
        settings=DecisionSettings(
            auto_accept=settings.auto_accept,
            price_attribute=settings.price_attribute,
            price_threshold=settings.price_threshold,
            product_id_attribute=settings.product_id_attribute,
        ),
        at=now,
    )


def _examine(
    line: Line, order: MarketplaceOrder, settings: ConnectionSettings, catalogue: Catalogue
) -> Iterator[Finding]:
    candidates = [catalogue[product_id] for product_id in catalogue.candidates(line)]
    yield _product_check(line, candidates, settings.product_id_attribute)
    if len(candidates) != 1:
        return
    product = candidates[0]
    units = ordered(order.lines, catalogue.matches(order.lines))[product.id]
    yield _stock_check(line, product, units)
    currency = product.currency or order.currency
    comparable = currency == order.currency
    if not comparable:
        detail = f"ordered in {order.currency}, catalogue price in {currency}"
        yield Check(line.line, "currency", passed=False, detail=detail), "currency_mismatch"
    reference = _reference_price(product, settings)
    if reference is None:
        detail = f"the product has no {settings.price_attribute}"
        yield Check(line.line, "price", passed=False, detail=detail), "no_reference_price"
    elif comparable:
        yield _price_check(line, reference, settings.price_threshold)


def _product_check(line: Line, candidates: Sequence[Product], attribute: str) -> Finding:
    if not candidates:
        asked = " or ".join(v for v in (line.size_reference, line.reference) if v) or "(empty)"
        detail = f"no product with {attribute} {asked}"
        return Check(line.line, "product", passed=False, detail=detail), "unknown_product"
    identified = f"{attribute} {candidates[0].identified_by(attribute)}"
    if len(candidates) == 1:
        return Check(line.line, "product", passed=True, detail=identified), None
    detail = f"{len(candidates)} products with {identified}"
    return Check(line.line, "product", passed=False, detail=detail), "ambiguous_product"


def _stock_check(line: Line, product: Product, units: int) -> Finding:
    passed = product.available >= units
    detail = f"{product.available} available, {units} ordered"
    check = Check(line.line, "stock", passed=passed, detail=detail)
    return check, None if passed else "out_of_stock"


def _reference_price(product: Product, settings: ConnectionSettings) -> Decimal | None:
    if settings.price_attribute is PriceAttribute.FINAL:
        return product.price_final_incl_tax
    return product.price_original_incl_tax


def _price_check(line: Line, reference: Decimal, threshold: Decimal) -> Finding:
    least = _EXACT.multiply(reference, threshold)
    price = line.unit_price_discounted
    passed = price >= least
    sign = "≥" if passed else "<"
    detail = f"{price} {sign} {threshold} × {reference} = {_shortest(least)}"
    check = Check(line.line, "price", passed=passed, detail=detail)
    return check, None if passed else "price_below_threshold"


def _shortest(amount: Decimal) -> str:
    """The exact amount without trailing zeros beyond two decimals: 49.4700 → 49.47."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
