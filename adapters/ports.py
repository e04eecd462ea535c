"""What the daemon asks of the outside, one narrow Protocol per neighbour.

The Postgres store has no Protocol here: it is the one truth, the daemon uses it as it is.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from statemachine.changes import EventType
from statemachine.model import (
    ActionKind,
    Line,
    MarketplaceOrder,
    MarketplaceReturn,
    OrderId,
    ReturnId,
    Shipment,
)

Read_co = TypeVar("Read_co", covariant=True)


class MarketplaceError(Exception):
    """A call to the marketplace did not do what was asked; `code` is its result code, if any.

    `service` is the web service called, set by the adapter. `received` keeps the start of what
    came, for diagnosis; it never holds the API key.
    """

    def __init__(self, message: str, *, code: int | None = None, received: str | None = None):
        super().__init__(message)
        self.message = message
        self.code = code
        self.received = received
        self.service = ""


class TransportFault(MarketplaceError):
    """Time-out, HTTP status, empty, cut-off or foreign answer: unknown outcome, try again."""


class TimedOut(TransportFault):
    """No answer in time: a slow site may still do what was asked."""


class Throttled(MarketplaceError):
    """-429: too many calls to this service in the last hour; wait."""


class AccountRejected(MarketplaceError):
    """-1, -2 (bad key) or -428 (deactivated): stop calling until a person acts."""

    def __init__(self, message: str, *, code: int, reason: str):
        super().__init__(message, code=code)
        self.reason = reason  # bad_key | deactivated


class NotFound(MarketplaceError):
    """-6: the marketplace does not know this order or return."""


class WrongChronology(MarketplaceError):
    """-7: the new status may not follow the present one; read the order again."""


class Rejected(MarketplaceError):
    """Any other negative code: permanent for this action, its description kept."""


class UnreadableOrder(Exception):
    """An exported order or return cannot be understood; the message says which field and why."""


class Exported(Protocol[Read_co]):
    """One order or return of an export, not parsed until asked: most are unchanged."""

    @property
    def id(self) -> str | None:
        """Its id; None where even that cannot be read."""

    @property
    def fingerprint(self) -> bytes:
        """16 bytes, equal for equal XML."""

    @property
    def xml(self) -> bytes:
        """Its element, UTF-8."""

    def read(self) -> Read_co:
        """Parse it. Raises UnreadableOrder."""


ExportedOrder = Exported[MarketplaceOrder]
ExportedReturn = Exported[MarketplaceReturn]


@dataclass(frozen=True, slots=True)
class Label:
    """A return label: a link to it, or the PDF itself."""

    link: str | None = None
    pdf: bytes | None = None


@dataclass(frozen=True, slots=True)
class StockLevel:
    """Units of one size that may be sold."""

    reference: str
    size_reference: str
    quantity: int


class Marketplace(Protocol):
    """One account on one marketplace. Every call raises MarketplaceError subclasses only."""

    @property
    def order_service(self) -> str:
        """The web service that orders are exported by, as its calls are recorded."""

    def export_orders(self, since: datetime) -> AsyncGenerator[ExportedOrder]:
        """Stream the orders placed from `since` (aware) on; raises TransportFault when cut off."""

    async def fetch_order(self, order_id: OrderId) -> ExportedOrder:
        """Read one order; raises NotFound."""

    async def change_order(
        self,
        order_id: OrderId,
        kind: ActionKind,
        shipments: Sequence[Shipment] = (),
        lines: Sequence[Line] = (),
    ) -> None:
        """Carry an action out; "already so" (-9) is success.

        With SHIP: the order's `shipments`, whose first tracking number is sent, or all of them
        with their `lines` where the account has multi-package shipping.
        """

    def export_returns(self, since: datetime) -> AsyncGenerator[ExportedReturn]:
        """Stream the returns requested from `since` (aware) on; as export_orders."""

    async def fetch_return(self, return_id: ReturnId) -> ExportedReturn:
        """Read one return; raises NotFound."""

    async def change_return(
        self, return_id: ReturnId, kind: ActionKind, label: Label | None = None
    ) -> None:
        """Accept, refuse or label a return; "already so" is success."""

    async def delivery_slip(self, order_id: OrderId, lines: Sequence[Line]) -> bytes:
        """The PDF Spartoo wants in the parcel; raises NotFound."""

    async def push_stock(self, levels: Sequence[StockLevel]) -> Sequence[str | None]:
        """Tell many quantities at once. Per level None when taken, else why not."""

    async def test(self) -> None:
        """One cheap read that tells whether the key works."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as the log holds it. `position` grows; `data` is the JSON of its `data` member."""

    position: int
    id: UUID
    type: EventType
    source: str
    subject: str
    sequence: int
    time: datetime
    data: bytes
    connection: str | None
    catalog: str | None
    order_id: str | None
    traceparent: str | None = None


class BrokerUnavailable(Exception):
    """The broker cannot be reached or went away; nothing of the window is confirmed."""


class EventPublisher(Protocol):
    async def publish(self, events: Sequence[LoggedEvent]) -> Sequence[str | None]:
        """Publish a window of events of different subjects; wait for the broker's confirms.

        Per event None when confirmed, else why not (nacked, returned). Raises BrokerUnavailable.
        """


class CommandMessage(Protocol):
    """One message from the command queue, unacknowledged until one of the three is called."""

    @property
    def body(self) -> bytes: ...

    @property
    def message_id(self) -> str | None: ...

    @property
    def wants_reply(self) -> bool: ...

    async def answer(self, reply: bytes) -> None:
        """Send the reply if one was asked for, then acknowledge the message."""

    async def dead_letter(self, error: str, reply: bytes | None = None) -> None:
        """Move it unchanged to the dead-letter queue, header `x-error`, confirmed; then ack.

        `reply` goes to the asker too, where one was asked for.
        """

    async def release(self) -> None:
        """Give it back to the queue (shutdown, database away)."""


class CommandSource(Protocol):
    def commands(self) -> AsyncGenerator[CommandMessage]:
        """Commands in the queue's order, until cancelled; raises BrokerUnavailable."""
