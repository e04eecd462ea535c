"""Returns (RMA) as the simulated marketplace holds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from random import Random
from types import MappingProxyType

from adapters.spartoo.simulator.orders import OrderLine, SimulatedOrder


class ReturnStatus(IntEnum):
    """Return statuses (web-service page, "Returns")."""

    REQUESTED = 2
    REFUSED = 3
    ACCEPTED = 4
    PAID = 5
    REFUNDED = 7


RETURN_STATUS_NAMES: Mapping[ReturnStatus, str] = MappingProxyType(
    {
        ReturnStatus.REQUESTED: "waiting to be received",
        ReturnStatus.REFUSED: "refused",
        ReturnStatus.ACCEPTED: "received, return accepted",
        ReturnStatus.PAID: "paid",
        ReturnStatus.REFUNDED: "refunded",
    }
)
# What the merchant may set; paid and refunded are the marketplace's own.
MERCHANT_SETS: Mapping[ReturnStatus, frozenset[ReturnStatus]] = MappingProxyType(
    {
        ReturnStatus.ACCEPTED: frozenset({ReturnStatus.REQUESTED, ReturnStatus.REFUSED}),
        ReturnStatus.REFUSED: frozenset({ReturnStatus.REQUESTED}),
    }
)


class UnknownReturn(Exception):
    """No account holds a return with that id."""


class DuplicateReturn(Exception):
    """A return with that id exists already."""


@dataclass(slots=True)
class SimulatedReturn:
    """A return of one item. `requested` is the local time as the export writes it."""

    number: int  # 1, 2, 3 … in the order of creation, over all accounts
    id: str
    account: str
    order_id: str
    line: OrderLine
    status: ReturnStatus
    reason: str
    requested_at: datetime
    requested: str
    label_link: str = ""
    label_file: bytes = b""


@dataclass(frozen=True, slots=True)
class ReturnWishes:
    """What a new return must be; `line` counts the order's items from 1."""

    line: int = 1
    reason: str = "trop petit"
    return_id: str | None = None
    status: ReturnStatus = ReturnStatus.REQUESTED


class ReturnDesk:
    """Every return of the simulated marketplace. Return n of a seed has the same id."""

    def __init__(self, seed: int):
        self._seed = seed
        self.by_id: dict[str, SimulatedReturn] = {}

    def create(
        self, order: SimulatedOrder, wishes: ReturnWishes, at: datetime, requested: str
    ) -> SimulatedReturn:
        """Raises DuplicateReturn, and IndexError where the order has no such item."""
        number = len(self.by_id) + 1
        rng = Random(f"return {number} of {self._seed}")  # noqa: S311 - an id, not a secret
        return_id = wishes.return_id or f"{rng.getrandbits(64):016X}"
        if return_id in self.by_id:
            raise DuplicateReturn(f"return {return_id!r} exists already")
        made = SimulatedReturn(
            number=number,
            id=return_id,
            account=order.account,
            order_id=order.id,
            line=order.lines[wishes.line - 1],
            status=wishes.status,
            reason=wishes.reason,
            requested_at=at,
            requested=requested,
        )
        self.by_id[return_id] = made
        return made

    def get(self, return_id: str) -> SimulatedReturn:
        """Raises UnknownReturn."""
        try:
            return self.by_id[return_id]
        except KeyError:
            raise UnknownReturn(f"no return {return_id!r}") from None

    def find(self, account: str, return_id: str) -> SimulatedReturn | None:
        """The return if it is that account's."""
        found = self.by_id.get(return_id)
        return found if found is not None and found.account == account else None

    def of_account(self, account: str) -> list[SimulatedReturn]:
        """Oldest first."""
        found = (one for one in self.by_id.values() if one.account == account)
        return sorted(found, key=lambda one: one.requested_at)
