"""Value objects of the core: what the marketplace says, what the catalogue says, what we hold.

Everything is frozen. Money is `Decimal` in the currency of its order or product, with the
decimals it came with; every datetime is aware.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

ConnectionId = NewType("ConnectionId", str)
OrderId = NewType("OrderId", str)
CatalogId = NewType("CatalogId", str)
ProductId = NewType("ProductId", str)
ReturnId = NewType("ReturnId", str)


class OrderState(StrEnum):
    """Where an order stands. A state is a fact: the marketplace has said so."""

    NEW = "new"
    PENDING_MANUAL = "pending_manual"
    ACCEPTED = "accepted"
    SYNCED = "synced"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNDELIVERED = "undelivered"


class SpartooStatus:
    """Order statuses of the marketplace (web-service page, "Order statuses")."""

    VERIFIED = 11
    IN_PREPARATION = 2
    SHIPPED = 3
    CANCELLED = 41
    LOST = 45
    NOT_DELIVERED = 47


class ActionKind(StrEnum):
    """What we want the marketplace to do. An action is an intention, never a state."""

    ACCEPT = "accept"
    CANCEL = "cancel"
    SHIP = "ship"
    LOSE = "lost"
    UNDELIVER = "undelivered"
    RETURN_ACCEPT = "return_accept"
    RETURN_REFUSE = "return_refuse"
    RETURN_LABEL = "return_label"
    FETCH = "fetch"  # read one order again; changes nothing on the marketplace


class ActionStatus(StrEnum):
    PENDING = "pending"  # waits for its turn, or for a retry
    DONE = "done"
    FAILED = "failed"  # permanent: a person must look
    SUPERSEDED = "superseded"  # no longer wanted, was never sent


@dataclass(frozen=True, slots=True)
class Customer:
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    street: str = ""
    suburb: str = ""
    city: str = ""
    postcode: str = ""
    state: str = ""
    country: str = ""

    @property
    def is_located(self) -> bool:
        """True with a street, a city or a postcode."""
        return any((self.street, self.city, self.postcode))

    @property
    def is_complete(self) -> bool:
        """True with a name, a street, a city and a postcode."""
        named = self.first_name or self.last_name or self.company
        return all((named, self.street, self.city, self.postcode))


@dataclass(frozen=True, slots=True)
class Relay:
    """The collection point an order is delivered to."""

    id: str = ""
    type: str = ""
    name: str = ""
    address: str = ""
    city: str = ""
    postcode: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    method: str = ""
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One ordered item. `unit_price_discounted` is Koongo's "order item's price"."""

    line: int  # 1, 2, 3 … in the marketplace's order
    reference: str  # products_reference
    size_reference: str  # products_size_reference
    spartoo_product_id: int | None
    name: str
    brand: str
    size: str
    color: str
    quantity: int  # 0 or more
    unit_price: Decimal
    unit_price_discounted: Decimal
    line_total: Decimal

    @property
    def identifier(self) -> str:
        """What names its product: the size reference where it has one, else the reference."""
        return self.size_reference or self.reference

    @property
    def is_unusual(self) -> bool:
        """True for a voucher or correction: a negative price, or no unit. It counts no stock."""
        prices = (self.unit_price, self.unit_price_discounted, self.line_total)
        return self.quantity == 0 or min(prices) < 0


@dataclass(frozen=True, slots=True)
class MarketplaceOrder:
    """An order exactly as the marketplace last described it."""

    order_id: OrderId
    status: int
    purchased_at: datetime
    modified_at: datetime | None
    currency: str
    total: Decimal | None
    shipping_price: Decimal | None
    shipping_service: str
    payment: Payment
    customer: Customer
    billing_address: Address
    shipping_address: Address
    relay: Relay | None
    lines: tuple[Line, ...]  # never empty

    @property
    def lacks_delivery_address(self) -> bool:
        """True where the billing address stands in for an empty delivery block."""
        return self.billing_address.is_located and not self.shipping_address.is_located


@dataclass(frozen=True, slots=True)
class Product:
    """A catalogue product and its stock. `reserved` counts orders the store does not know yet."""

    catalog: CatalogId
    id: ProductId
    sku: str | None = None
    ean: str | None = None
    name: str | None = None
    stock: int = 0
    as_of: datetime | None = None  # the moment `stock` speaks of
    reserved: int = 0
    price_final_incl_tax: Decimal | None = None
    price_original_incl_tax: Decimal | None = None
    currency: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def available(self) -> int:
        """Units that may still be promised; never below 0."""
        return max(self.stock - self.reserved, 0)

    @property
    def shortfall(self) -> int:
        """Units promised beyond the stock."""
        return max(self.reserved - self.stock, 0)

    def identified_by(self, attribute: str) -> str | None:
        """The value of the Product Identification Attribute (`id`, `sku`, `ean` or any other)."""
        match attribute:
            case "id":
                return self.id
            case "sku":
                return self.sku
            case "ean":
                return self.ean
            case _:
                return self.attributes.get(attribute)


@dataclass(frozen=True, slots=True)
class ProductUpdate:
    """What the store says of one product; None leaves a field as it is (`catalog.upsert`)."""

    id: ProductId
    sku: str | None = None
    ean: str | None = None
    name: str | None = None
    stock: int | None = None
    price_final_incl_tax: Decimal | None = None
    price_original_incl_tax: Decimal | None = None
    currency: str | None = None
    attributes: Mapping[str, str] | None = None
    as_of: datetime | None = None

    @property
    def only_counts(self) -> bool:
        """True when it says nothing of the product but its stock."""
        return self == ProductUpdate(self.id, stock=self.stock, as_of=self.as_of)


@dataclass(frozen=True, slots=True)
class ShippedItem:
    line: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Shipment:
    """One parcel."""

    tracking_number: str
    shipping_service: str
    store_shipping_service: str
    items: tuple[ShippedItem, ...]
    shipped_at: datetime | None


@dataclass(frozen=True, slots=True)
class Check:
    """One check of automatic acceptance on one line, with its figures in `detail`."""

    line: int
    check: str  # product | stock | price | currency
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """The settings a decision used, kept with it."""

    auto_accept: bool
    price_attribute: str
    price_threshold: Decimal
    product_id_attribute: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Why an order was accepted automatically or held, in full."""

    outcome: str  # accept | hold
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    settings: DecisionSettings
    at: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """What a person must look at; stays until someone retries or it resolves itself."""

    code: str
    message: str
    action: str | None  # the action it came from
    at: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """Our record of an order: the marketplace's facts, where it stands, and what we decided."""

    connection: ConnectionId
    facts: MarketplaceOrder
    state: OrderState
    first_seen_at: datetime
    changed_at: datetime  # when this record last moved; older readings are stale
    decision: Decision | None = None
    touched_by: str | None = None  # the person or program whose command it last obeyed
    products: Mapping[int, ProductId] = field(default_factory=dict)  # line number → product
    store_order_id: str | None = None
    acknowledged_at: datetime | None = None
    published_at: datetime | None = None  # the broker confirmed order.accepted
    known_at: datetime | None = None  # since then the store's stock numbers include it
    shipments: tuple[Shipment, ...] = ()
    not_shipped: tuple[ShippedItem, ...] = ()  # will never leave: closed with what has left
    problem: Problem | None = None
    erased_at: datetime | None = None  # since then it tells of no person
    reserved: Mapping[ProductId, int] = field(default_factory=dict)
    reserved_in: CatalogId | None = None  # the catalogue of its reservations
    actions: Mapping[ActionKind, ActionStatus] = field(default_factory=dict)

    @property
    def id(self) -> OrderId:
        return self.facts.order_id

    def waits_for(self, kind: ActionKind) -> bool:
        """True while that action is stored and not carried out."""
        return self.actions.get(kind) is ActionStatus.PENDING


class ReturnState(StrEnum):
    """Where a return (RMA) stands."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    PAID = "paid"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class ReturnItem:
    """The one product a return holds."""

    reference: str = ""
    spartoo_product_id: int | None = None
    name: str = ""
    brand: str = ""
    size: str = ""
    color: str = ""


@dataclass(frozen=True, slots=True)
class MarketplaceReturn:
    """A return exactly as the marketplace last described it."""

    return_id: ReturnId
    order_id: OrderId
    status: int  # 2 requested, 3 refused, 4 accepted, 5 paid, 7 refunded
    requested_at: datetime
    reason: str
    item: ReturnItem


@dataclass(frozen=True, slots=True)
class Return:
    """Our record of a return; `label_link` or `has_label` once a label was given."""

    connection: ConnectionId
    facts: MarketplaceReturn
    state: ReturnState
    first_seen_at: datetime
    changed_at: datetime
    label_link: str | None = None
    has_label: bool = False
    label_digest: str | None = None  # names the label given last, on its way or taken
    touched_by: str | None = None
    problem: Problem | None = None
    actions: Mapping[ActionKind, ActionStatus] = field(default_factory=dict)

    @property
    def id(self) -> ReturnId:
        return self.facts.return_id

    def waits_for(self, kind: ActionKind) -> bool:
        """True while that action is stored and not carried out."""
        return self.actions.get(kind) is ActionStatus.PENDING
