"""Invented orders. Order n of a seed is the same, whatever was made before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from random import Random

from adapters.spartoo.simulator.catalog import BRAND, VARIANTS, Variant
from adapters.spartoo.simulator.config import OrderKind
from adapters.spartoo.simulator.orders import OrderLine, SimulatedOrder, Status, export_time
from adapters.spartoo.simulator.people import PEOPLE, RELAYS

_IN_STOCK = tuple(variant for variant in VARIANTS.values() if variant.stock >= 2)  # noqa: PLR2004 - a line may take two
_ALL = tuple(VARIANTS.values())
_PAYMENTS = ("CB", "PayPal", "Chèque cadeau")
_CARRIERS = (("Colissimo", 0), ("Chronopost", 990), ("DPD", 490))
_RELAY_CARRIER = ("Mondial Relay", 290)
_RELAY_SHARE, _GIFT_SHARE = 0.15, 0.1
_LINE_COUNTS, _LINE_WEIGHTS = (1, 2, 3), (0.75, 0.95, 1.0)
_FREE_SHIPPING_FROM = 6000


@lru_cache(maxsize=4096)
def catalog_line(variant: Variant, quantity: int, percent: int = 100) -> OrderLine:
    """A line of the catalogue at `percent` of its final price."""
    model = variant.model
    return OrderLine(
        reference=model.reference,
        size_reference=variant.size_reference,
        name=model.name,
        brand=BRAND,
        size=variant.size,
        color=model.color,
        spartoo_number=variant.spartoo_number,
        quantity=quantity,
        unit_price=model.original_price,
        unit_price_reduced=model.final_price * percent // 100,
    )


def unknown_line(size_reference: str, quantity: int = 1) -> OrderLine:
    """A line whose references are in no catalogue."""
    reference, _, size = size_reference.partition("_")
    return OrderLine(
        reference=reference,
        size_reference=size_reference,
        name="Article déréférencé",
        brand=BRAND,
        size=size,
        color="",
        spartoo_number=999_999,
        quantity=quantity,
        unit_price=6000,
        unit_price_reduced=5000,
    )


def _fine(rng: Random) -> OrderLine:
    return catalog_line(rng.choice(_IN_STOCK), 2 if rng.random() < 0.1 else 1)  # noqa: PLR2004 - one line in ten


def _too_cheap(rng: Random) -> OrderLine:
    return catalog_line(rng.choice(_IN_STOCK), 1, percent=rng.choice((60, 75, 90)))


def _unknown_product(rng: Random) -> OrderLine:
    return unknown_line(f"{rng.choice((998, 999))}_{rng.choice((37, 38, 39))}")


def _out_of_stock(rng: Random) -> OrderLine:
    variant = rng.choice(_ALL)
    return catalog_line(variant, variant.stock + rng.choice((1, 2)))


FIRST_LINES: Mapping[OrderKind, Callable[[Random], OrderLine]] = {
    "fine": _fine,
    "too_cheap": _too_cheap,
    "unknown_product": _unknown_product,
    "out_of_stock": _out_of_stock,
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a new order must be; None leaves it to chance."""

    account: str | None = None
    kind: OrderKind | None = None
    lines: tuple[OrderLine, ...] | None = None
    relay: bool | None = None
    status: Status = Status.VERIFIED
    order_id: str | None = None


class OrderFactory:
    """Orders by number: one `Random` each, so that none depends on those before."""

    def __init__(self, seed: int, accounts: tuple[str, ...], mix: Mapping[OrderKind, float]):
        self._seed = seed
        self._accounts = accounts
        self._kinds = tuple(mix)
        self._shares = tuple(mix.values())

    def make(self, number: int, wishes: Wishes, at: datetime, local: datetime) -> SimulatedOrder:
        """Order `number`, placed at `at` (aware), which is `local` on the marketplace."""
        rng = Random(self._seed << 40 | number)  # noqa: S311 - invented orders, not secrets
        order_id = f"{rng.getrandbits(64):016X}"
        account = rng.choice(self._accounts)
        kind = rng.choices(self._kinds, self._shares)[0]
        billing = rng.choice(PEOPLE)
        delivery = rng.choice(PEOPLE) if rng.random() < _GIFT_SHARE else billing
        by_relay = rng.random() < _RELAY_SHARE if wishes.relay is None else wishes.relay
        carrier, fee = _RELAY_CARRIER if by_relay else rng.choice(_CARRIERS)
        lines = wishes.lines or self._lines(rng, wishes.kind or kind)
        written = export_time(local)
        return SimulatedOrder(
            number=number,
            id=wishes.order_id or order_id,
            account=wishes.account or account,
            kind="given" if wishes.lines else wishes.kind or kind,
            status=wishes.status,
            billing=billing,
            delivery=delivery,
            relay=rng.choice(RELAYS) if by_relay else None,
            lines=lines,
            payment_method=rng.choice(_PAYMENTS),
            shipping_name=carrier,
            shipping_price=0 if sum(ln.total for ln in lines) >= _FREE_SHIPPING_FROM else fee,
            purchased_at=at,
            purchased=written,
            modified=written,
        )

    def _lines(self, rng: Random, kind: OrderKind) -> tuple[OrderLine, ...]:
        count = rng.choices(_LINE_COUNTS, cum_weights=_LINE_WEIGHTS)[0]
        return (FIRST_LINES[kind](rng), *(_fine(rng) for _ in range(count - 1)))
