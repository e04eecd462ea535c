"""What if: kept orders decided again under another threshold, price attribute or auto-accept.

What was found out about products, stock and currency stands as it was decided. Prices are those
that were compared then; only where another price attribute is supposed, which nobody looked at
then, the catalogue's present price takes its place. What one order would have taken of the stock
from the next is not followed. Settings not supposed are those each decision used.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from statemachine.connection import PriceAttribute, Threshold
from statemachine.decision import (
    ACCEPT,
    AUTO_ACCEPT_OFF,
    BELOW_THRESHOLD,
    NO_REFERENCE,
    Finding,
    conclude,
    figures_of,
    price_check,
    reference_price,
)
from statemachine.model import (
    Check,
    Decision,
    DecisionSettings,
    OrderId,
    OrderState,
    Product,
    ProductId,
)

MOST_LISTED = 100
NOTES = (
    "product, stock and currency checks stand as they were decided",
    "stock that other orders would have taken is not followed",
    "prices are those compared then; with another price attribute, the catalogue's present ones",
    "settings not given are those each decision used; orders nobody decided on are only counted",
)
_DECIDED_ANEW = {AUTO_ACCEPT_OFF, BELOW_THRESHOLD, NO_REFERENCE}


class Supposed(BaseModel):
    """Settings to suppose; what is None stays as each decision used it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    auto_accept: bool | None = None
    price_attribute: PriceAttribute | None = None
    price_threshold: Threshold | None = None

    def over(self, used: DecisionSettings) -> DecisionSettings:
        """The settings of a decision with those supposed in their place."""
        return replace(used, **self.model_dump(exclude_none=True))


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """What is kept of an order and its last decision; `prices` per line, after discount."""

    order_id: OrderId
    purchased_at: datetime
    state: OrderState
    decision: Decision | None
    products: Mapping[int, ProductId] = field(default_factory=dict)
    prices: Mapping[int, Decimal] = field(default_factory=dict)


def needs_catalogue(decision: Decision, supposed: Supposed) -> bool:
    """True when prices are wanted that the decision did not compare."""
    settings = supposed.over(decision.settings)
    return settings.price_attribute != decision.settings.price_attribute


def suppose(
    order: KeptOrder,
    decision: Decision,
    supposed: Supposed,
    products: Mapping[ProductId, Product],
) -> Decision:
    """The decision there would have been."""
    settings = supposed.over(decision.settings)
    findings = [*_findings(order, decision, settings, products)]
    stands = [reason for reason in decision.reasons if reason not in _DECIDED_ANEW]
    fails = [reason for _, reason in findings if reason is not None]
    checks = (check for check, _ in findings)
    return conclude(checks, [*stands, *fails], settings, decision.at)


def _findings(
    order: KeptOrder,
    decision: Decision,
    settings: DecisionSettings,
    products: Mapping[ProductId, Product],
) -> Iterator[Finding]:
    same_price = settings.price_attribute == decision.settings.price_attribute
    for number, of_line in groupby(decision.checks, key=lambda check: check.line):
        kept = {check.check: check for check in of_line}
        known = kept.pop("price", None)
        yield from ((check, None) for check in kept.values())
        if same_price and known is not None:
            yield _again(known, settings)
        elif not same_price and kept["product"].passed:
            product = products.get(order.products.get(number, ProductId("")))
            reference = reference_price(product, settings.price_attribute) if product else None
            price = _price(known, order.prices.get(number))
            if price is not None and (reference is None or "currency" not in kept):
                yield price_check(number, price, reference, settings)


def _again(known: Check, settings: DecisionSettings) -> Finding:
    """The same prices compared by these settings."""
    figures = figures_of(known)
    if figures is None:
        return known, NO_REFERENCE
    return price_check(known.line, *figures, settings)


def _price(known: Check | None, now: Decimal | None) -> Decimal | None:
    """What the item was sold for when it was decided, else what it is sold for now."""
    figures = known and figures_of(known)
    return figures[0] if figures else now


@dataclass(frozen=True, slots=True)
class Difference:
    """An order that would have gone the other way."""

    order_id: OrderId
    purchased_at: datetime
    state: OrderState  # where it stands now, whoever brought it there
    was: Decision
    would_be: Decision


@dataclass(slots=True)
class Outcomes:
    """Decided orders, and what became and would have become of them; the rest was held."""

    decided: int = 0
    accepted: int = 0
    would_accept: int = 0


@dataclass(slots=True)
class ReasonCount:
    """Orders held for a reason; one order may have several."""

    was: int = 0
    would_be: int = 0


@dataclass(slots=True)
class WhatIf:
    """Counts over a period of purchase dates, and the first MOST_LISTED differing orders.

    Days are those of `zone`.
    """

    zone: ZoneInfo
    supposed: Supposed
    orders: int = 0
    outcomes: Outcomes = field(default_factory=Outcomes)
    newly_accepted: int = 0
    newly_held: int = 0
    at_present_prices: int = 0  # decided orders measured by the catalogue as it is now
    by_reason: dict[str, ReasonCount] = field(default_factory=dict)
    by_day: dict[date, Outcomes] = field(default_factory=dict)
    newly_accepted_by_state: Counter[OrderState] = field(default_factory=Counter)
    differing: list[Difference] = field(default_factory=list)

    @property
    def undecided(self) -> int:
        """Orders without a decision: stock only, or first seen when already accepted or further."""
        return self.orders - self.outcomes.decided

    @property
    def differ(self) -> int:
        """Orders that would have gone the other way, listed or not."""
        return self.newly_accepted + self.newly_held

    def take(self, order: KeptOrder, products: Mapping[ProductId, Product]) -> None:
        """Count one order in."""
        self.orders += 1
        was = order.decision
        if was is None:
            return
        would_be = suppose(order, was, self.supposed, products)
        self.at_present_prices += needs_catalogue(was, self.supposed)
        day = order.purchased_at.astimezone(self.zone).date()
        for outcomes in (self.outcomes, self.by_day.setdefault(day, Outcomes())):
            outcomes.decided += 1
            outcomes.accepted += was.outcome == ACCEPT
            outcomes.would_accept += would_be.outcome == ACCEPT
        for reason in was.reasons:
            self.by_reason.setdefault(reason, ReasonCount()).was += 1
        for reason in would_be.reasons:
            self.by_reason.setdefault(reason, ReasonCount()).would_be += 1
        if was.outcome != would_be.outcome:
            self._differ(order, was, would_be)

    def _differ(self, order: KeptOrder, was: Decision, would_be: Decision) -> None:
        if would_be.outcome == ACCEPT:
            self.newly_accepted += 1
            self.newly_accepted_by_state[order.state] += 1
        else:
            self.newly_held += 1
        if len(self.differing) < MOST_LISTED:
            found = Difference(order.order_id, order.purchased_at, order.state, was, would_be)
            self.differing.append(found)
