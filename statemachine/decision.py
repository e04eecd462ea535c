"""Automatic acceptance: every line in stock and dear enough, or the order waits with all reasons.

Source: Koongo, "Accept Orders Automatically", "Price Attribute", "Price Attribute Threshold".
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import ROUND_DOWN, Context, Decimal, Inexact

from statemachine.connection import ConnectionSettings, PriceAttribute
from statemachine.model import (
    Address,
    Check,
    Decision,
    DecisionSettings,
    Line,
    MarketplaceOrder,
    Product,
)
from statemachine.stock import Catalogue, ordered

ACCEPT = "accept"
HOLD = "hold"

AUTO_ACCEPT_OFF = "auto_accept_off"
BELOW_THRESHOLD = "price_below_threshold"
NO_REFERENCE = "no_reference_price"
INCOMPLETE_ADDRESS = "incomplete_address"
UNUSUAL_AMOUNTS = "unusual_amounts"

_FIGURES = re.compile(r"(\S+) [≥<] \S+ × (\S+) = \S+")
_SHARE = Decimal("0.0001")
_EXACT = Context(prec=200, traps=[Inexact])  # money is never rounded; better fail than guess

Finding = tuple[Check, str | None]  # a check, and the reason it gives when it failed


def decide(
    order: MarketplaceOrder, settings: ConnectionSettings, catalogue: Catalogue, now: datetime
) -> Decision:
    """Decide on an order by the catalogue; the decision keeps every check with its figures."""
    used = DecisionSettings(
        auto_accept=settings.auto_accept,
        price_attribute=settings.price_attribute,
        price_threshold=settings.price_threshold,
        product_id_attribute=settings.product_id_attribute,
    )
    findings = [f for line in order.lines for f in _examine(line, order, used, catalogue)]
    reasons = [reason for _, reason in findings if reason is not None]
    if not published_address(order, settings).is_complete:
        reasons.append(INCOMPLETE_ADDRESS)
    return conclude((check for check, _ in findings), reasons, used, now)


def published_address(order: MarketplaceOrder, settings: ConnectionSettings) -> Address:
    """Where the order is sent: the billing address where the settings or an empty block say so."""
    billing = ships_to_billing_address(order, settings)
    return order.billing_address if billing else order.shipping_address


def ships_to_billing_address(order: MarketplaceOrder, settings: ConnectionSettings) -> bool:
    """True where the settings, or an empty delivery block, say so."""
    return settings.use_billing_address_for_shipping or order.lacks_delivery_address


def conclude(
    checks: Iterable[Check], failures: Iterable[str], used: DecisionSettings, at: datetime
) -> Decision:
    """The decision that checks and the reasons they gave lead to."""
    reasons = dict.fromkeys((*(() if used.auto_accept else (AUTO_ACCEPT_OFF,)), *failures))
    return Decision(HOLD if reasons else ACCEPT, tuple(reasons), tuple(checks), used, at)


def _examine(
    line: Line, order: MarketplaceOrder, used: DecisionSettings, catalogue: Catalogue
) -> Iterator[Finding]:
    if line.is_unusual:
        yield _unusual_check(line)
        return
    candidates = [catalogue[product_id] for product_id in catalogue.candidates(line)]
    yield _product_check(line, candidates, used.product_id_attribute)
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
    reference = reference_price(product, used.price_attribute)
    if comparable or reference is None:
        yield price_check(line.line, lowest_price(line), reference, used)


def _unusual_check(line: Line) -> Finding:
    detail = (
        f"{line.quantity} ordered at {line.unit_price_discounted}, {line.line_total} in all:"
        " a person must judge it"
    )
    return Check(line.line, "stock", passed=False, detail=detail), UNUSUAL_AMOUNTS


def lowest_price(line: Line) -> Decimal:
    """The lowest unit price that the line states; the total's share is cut off, never raised."""
    stated = min(line.unit_price, line.unit_price_discounted)
    if line.line_total >= _EXACT.multiply(stated, Decimal(line.quantity)):
        return stated
    return (line.line_total / line.quantity).quantize(_SHARE, rounding=ROUND_DOWN)


def _product_check(line: Line, candidates: Sequence[Product], attribute: str) -> Finding:
    if not candidates:
        detail = f"no product with {attribute} {line.identifier or '(empty)'}"
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


def reference_price(product: Product, attribute: str) -> Decimal | None:
    """The catalogue price an order is measured against; 0 is how feeds write "no price"."""
    if attribute == PriceAttribute.FINAL:
        price = product.price_final_incl_tax
    else:
        price = product.price_original_incl_tax
    return price or None


def price_check(
    line: int, price: Decimal, reference: Decimal | None, used: DecisionSettings
) -> Finding:
    """Measure an item's price against the catalogue's, exactly."""
    if reference is None:
        detail = f"the product has no {used.price_attribute}"
        return Check(line, "price", passed=False, detail=detail), NO_REFERENCE
    least = _EXACT.multiply(reference, used.price_threshold)
    passed = price >= least
    sign = "≥" if passed else "<"
    detail = f"{price} {sign} {used.price_threshold} × {reference} = {_shortest(least)}"
    check = Check(line, "price", passed=passed, detail=detail)
    return check, None if passed else BELOW_THRESHOLD


def figures_of(check: Check) -> tuple[Decimal, Decimal] | None:
    """The item's price and the catalogue's that a price check kept; None where it had no price."""
    found = _FIGURES.fullmatch(check.detail)
    return found and (Decimal(found[1]), Decimal(found[2]))


def _shortest(amount: Decimal) -> str:
    """The exact amount without trailing zeros beyond two decimals: 49.4700 → 49.47."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
