"""Orders as the simulated marketplace holds them. Money is in cents."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType


class Status(IntEnum):
    """Order statuses (web-service page, "Order statuses")."""

    VERIFIED = 11
    IN_PREPARATION = 2
    SHIPPED = 3
    CANCELLED = 41
    LOST = 45
    NOT_DELIVERED = 47


STATUS_NAMES: Mapping[Status, str] = MappingProxyType(
    {
        Status.VERIFIED: "verified",
        Status.IN_PREPARATION: "in preparation",
        Status.SHIPPED: "shipped",
        Status.CANCELLED: "cancelled",
        Status.LOST: "lost",
        Status.NOT_DELIVERED: "not delivered",
    }
)
FOLLOWS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.VERIFIED: frozenset({Status.IN_PREPARATION, Status.CANCELLED}),
        Status.IN_PREPARATION: frozenset({Status.SHIPPED, Status.CANCELLED}),
        Status.SHIPPED: frozenset({Status.LOST, Status.NOT_DELIVERED}),
        Status.CANCELLED: frozenset(),
        Status.LOST: frozenset({Status.CANCELLED}),
        Status.NOT_DELIVERED: frozenset({Status.CANCELLED}),
    }
)


@dataclass(frozen=True, slots=True)
class Party:
    """Who is billed, or who receives."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    street: str = ""
    suburb: str = ""
    city: str = ""
    postcode: str = ""
    state: str = ""
    country: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Relay:
    """A collection point."""

    id: str
    type: str
    name: str
    address: str
    postcode: str
    city: str
    country_iso: str


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One item sold; unit prices before and after discount."""

    reference: str
    size_reference: str
    name: str
    brand: str
    size: str
    color: str
    spartoo_number: int
    quantity: int
    unit_price: int
    unit_price_reduced: int

    @property
    def total(self) -> int:
        return self.unit_price_reduced * self.quantity


@dataclass(frozen=True, slots=True)
class Package:
    """One package of several: its tracking number, and units by size reference."""

    tracking_number: str
    quantities: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class SimulatedOrder:
    """An order. `purchased` and `modified` are local times as the export writes them."""

    number: int  # 1, 2, 3 … in the order of creation, over all accounts
    id: str
    account: str
    kind: str  # which case of the mix it was made for
    status: Status
    billing: Party
    delivery: Party
    relay: Relay | None
    lines: tuple[OrderLine, ...]
    payment_method: str
    shipping_name: str
    shipping_price: int
    purchased_at: datetime
    purchased: str
    modified: str
    tracking_number: str = ""
    packages: tuple[Package, ...] = ()  # of an account with multi-package shipping

    @property
    def total(self) -> int:
        return sum(line.total for line in self.lines) + self.shipping_price


def export_time(local: datetime) -> str:
    """A local time as the export writes it; its text order is its time order."""
    return local.strftime("%Y-%m-%d %H:%M:%S")
