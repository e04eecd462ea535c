"""What can happen to an order. Commands are named as orders, facts as what was seen."""

from dataclasses import dataclass
from datetime import datetime

from statemachine.model import ActionKind, MarketplaceOrder, ShippedItem


@dataclass(frozen=True, slots=True)
class Seen:
    """The marketplace described the order; the reading was asked for at `read_at`."""

    order: MarketplaceOrder
    read_at: datetime


@dataclass(frozen=True, slots=True)
class AcceptOrder:
    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RefuseOrder:
    """Refusing a pending order is cancelling it with reason `refused`."""

    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """`force`: also when parcels have left, although Spartoo refunds the whole order."""

    by: str
    reason: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel as the store names it; without items it holds all that is in no other one."""

    tracking_number: str
    shipping_service: str
    items: tuple[ShippedItem, ...] = ()


@dataclass(frozen=True, slots=True)
class ShipOrder:
    """The order, or some of it, was given to the carrier.

    `complete`: what is in no parcel by now will never leave.
    """

    by: str
    parcels: tuple[Parcel, ...]
    complete: bool = False


@dataclass(frozen=True, slots=True)
class LoseOrder:
    """The carrier has lost it."""

    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class UndeliverOrder:
    """It came back: refused, not collected or wrong address."""

    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RetryOrder:
    by: str


@dataclass(frozen=True, slots=True)
class AcknowledgeOrder:
    """The store has the order, under its own id."""

    by: str
    store_order_id: str


@dataclass(frozen=True, slots=True)
class ActionCarriedOut:
    """The marketplace did what the action asked, or had done so already."""

    kind: ActionKind
    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ActionRejected:
    """The marketplace will not do it; nothing is gained by asking again."""

    kind: ActionKind
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class AcceptedPublished:
    """The broker confirmed order.accepted (or, without a broker, the event log holds it)."""


@dataclass(frozen=True, slots=True)
class CatalogueChanged:
    """Products of a waiting order changed."""


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """Settings of its connection changed: it ends where they would have put it."""


Command = (
    AcceptOrder
    | RefuseOrder
    | CancelOrder
    | ShipOrder
    | LoseOrder
    | UndeliverOrder
    | RetryOrder
    | AcknowledgeOrder
)
Fact = (
    Seen
    | Command
    | ActionCarriedOut
    | ActionRejected
    | AcceptedPublished
    | CatalogueChanged
    | SettingsChanged
)

_TRAVELS = {ActionKind.SHIP, ActionKind.LOSE, ActionKind.UNDELIVER}


def leaves_stock_alone(fact: Fact) -> bool:
    """True for what happens to parcels: it looks at no product and moves no unit."""
    if isinstance(fact, ActionCarriedOut):
        return fact.kind in _TRAVELS
    if isinstance(fact, ShipOrder):
        return not fact.complete
    return isinstance(fact, LoseOrder | UndeliverOrder | AcceptedPublished)


class Refused(Exception):
    """A command that is not carried out; `code` is one of interfaces.md's error codes."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


class UnknownStatus(Exception):
    """An order first seen in a status this program does not know: quarantined, not guessed."""

    def __init__(self, status: int):
        super().__init__(f"orders_status_id is {status}; known are 11, 2, 3, 41, 45, 47")
