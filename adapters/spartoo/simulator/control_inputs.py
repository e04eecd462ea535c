"""What the control interface takes, and how it becomes orders, parties and lines."""

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime, StringConstraints

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.config import OrderKind, Pattern
from adapters.spartoo.simulator.factory import Wishes, catalog_line, unknown_line
from adapters.spartoo.simulator.orders import OrderLine, Party, Status
from adapters.spartoo.simulator.returns import ReturnStatus, ReturnWishes

OrderIdText = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{16}$")]
Cents = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=2)]


class Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LineInput(Input):
    """One item; what is left out comes from the catalogue variant of that size reference."""

    size_reference: str
    quantity: int = Field(1, ge=1)
    reference: str | None = None
    name: str | None = None
    unit_price: Cents | None = None
    unit_price_discounted: Cents | None = None

    def line(self) -> OrderLine:
        variant = VARIANTS.get(self.size_reference)
        if variant is None:
            base = unknown_line(self.size_reference, self.quantity)
        else:
            base = catalog_line(variant, self.quantity)
        given: dict[str, Any] = {
            "reference": self.reference,
            "name": self.name,
            "unit_price": _cents(self.unit_price),
            "unit_price_reduced": _cents(self.unit_price_discounted),
        }
        return replace(base, **{name: value for name, value in given.items() if value is not None})


def _cents(amount: Decimal | None) -> int | None:
    return None if amount is None else int(amount * 100)


class CreateOrders(Input):
    """Place `count` orders; a `purchased_at` without offset is the marketplace's local time."""

    account: str | None = None
    count: int = Field(1, ge=1, le=100_000)
    order_id: OrderIdText | None = Field(None, description="Only with count 1")
    kind: OrderKind | None = None
    lines: tuple[LineInput, ...] | None = Field(None, min_length=1)
    status: Status = Status.VERIFIED
    relay: bool | None = None
    purchased_at: AwareDatetime | NaiveDatetime | None = None

    def wishes(self) -> Wishes:
        return Wishes(
            account=self.account,
            kind=self.kind,
            lines=None if self.lines is None else tuple(line.line() for line in self.lines),
            relay=self.relay,
            status=self.status,
            order_id=self.order_id,
        )


class SetStatus(Input):
    """A change in the back office or by the customer: any status may follow any."""

    status: Status
    tracking_number: str = ""


class PartyInput(Input):
    """The fields of an address to change."""

    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    street: str | None = None
    suburb: str | None = None
    city: str | None = None
    postcode: str | None = None
    state: str | None = None
    country: str | None = None
    email: str | None = None
    phone: str | None = None

    def amended(self, party: Party) -> Party:
        return replace(party, **self.model_dump(exclude_none=True))


class AmendOrder(Input):
    billing: PartyInput | None = None
    delivery: PartyInput | None = None
    lines: tuple[LineInput, ...] | None = Field(None, min_length=1)


class SetAccount(Input):
    active: bool


class SetRate(Input):
    rate: float = Field(ge=0, le=10_000, description="Orders per second over all accounts")
    pattern: Pattern = "poisson"


class ListOrders(Input):
    """Query of the order list; `after` is the number of the last order already had."""

    account: str | None = None
    status: Status | None = None
    kind: str | None = None
    after: int = Field(0, ge=0)
    limit: int = Field(100, ge=1, le=10_000)


class ListCalls(Input):
    """Query of the ledger; `after` is the number of the last call already had."""

    after: int = Field(0, ge=0)
    limit: int = Field(1000, ge=1, le=10_000)
    service: str | None = None
    order_id: str | None = None
    return_id: str | None = None


class CreateReturn(Input):
    """A customer sends the item of that `line` (1, 2 …) back."""

    order_id: str
    line: int = Field(1, ge=1)
    reason: str = "trop petit"
    return_id: OrderIdText | None = None
    status: ReturnStatus = ReturnStatus.REQUESTED
    requested_at: AwareDatetime | NaiveDatetime | None = None

    def wishes(self) -> ReturnWishes:
        return ReturnWishes(self.line, self.reason, self.return_id, self.status)


class SetReturnStatus(Input):
    """A change by the marketplace, such as paid or refunded: any status may follow any."""

    status: ReturnStatus


class ListReturns(Input):
    """Query of the return list; `after` is the number of the last return already had."""

    account: str | None = None
    order_id: str | None = None
    status: ReturnStatus | None = None
    after: int = Field(0, ge=0)
    limit: int = Field(100, ge=1, le=10_000)


class SetStock(Input):
    """A size and its stock on the marketplace; a new size needs its product's `reference`."""

    account: str
    size_reference: str = Field(min_length=1)
    reference: str | None = Field(None, min_length=1)
    quantity: int | None = Field(None, ge=0, le=99_999)
    retired: bool | None = Field(None, description="No longer valid: every quantity is refused")


class ListStock(Input):
    """Query of an account's stock; `told` leaves out what no call has changed."""

    account: str
    size_reference: str | None = None
    told: bool = False
