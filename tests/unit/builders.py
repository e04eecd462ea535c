"""Orders, products and settings for the core's tests; every name has a sensible default."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from statemachine.changes import Changes, Event, EventType
from statemachine.connection import ConnectionSettings
from statemachine.draft import Context
from statemachine.facts import AcceptedPublished, ActionCarriedOut, Fact, Seen
from statemachine.model import (
    ActionKind,
    Address,
    CatalogId,
    Customer,
    Line,
    MarketplaceOrder,
    MarketplaceReturn,
    Order,
    OrderId,
    OrderState,
    Payment,
    Product,
    ProductId,
    Return,
    ReturnId,
    ReturnItem,
    ReturnState,
    SpartooStatus,
)
from statemachine.return_facts import (
    GivenLabel,
    ReturnActionCarriedOut,
    ReturnActionRejected,
    ReturnChanges,
    ReturnFact,
    ReturnSeen,
)
from statemachine.return_step import return_first_sight, step_return
from statemachine.returns import ReturnStatus
from statemachine.step import first_sight, step
from statemachine.stock import Catalogue

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PARIS = timezone(timedelta(hours=1))
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
ORDER_ID = OrderId("3FF75E96C3434E92")

HOME = Address(
    first_name="Ada", street="1 rue de la Paix", city="Paris", postcode="75002", country="France"
)
OFFICE = Address(
    first_name="Ada", street="2 quai Perrache", city="Lyon", postcode="69002", country="France"
)


def settings(**given: Any) -> ConnectionSettings:
    """An active connection that accepts automatically."""
    return ConnectionSettings(**{"id": "shoes-fr", "active": True, "auto_accept": True, **given})


def line(number: int = 1, reference: str = "10001", **given: Any) -> Line:
    """One unit at 64.99; its size reference is empty unless given."""
    price = Decimal(given.pop("price", "64.99"))
    quantity = given.pop("quantity", 1)
    values: dict[str, Any] = {
        "size_reference": "",
        "spartoo_product_id": 123,
        "name": "Boot",
        "brand": "Acme",
        "size": "38",
        "color": "red",
        "unit_price": max(Decimal("79.99"), price),
        "line_total": price * quantity,
        **given,
    }
    return Line(number, reference, quantity=quantity, unit_price_discounted=price, **values)


def marketplace_order(*lines: Line, **given: Any) -> MarketplaceOrder:
    """A verified order of one line."""
    values: dict[str, Any] = {
        "order_id": ORDER_ID,
        "status": SpartooStatus.VERIFIED,
        "purchased_at": datetime(2026, 11, 20, 9, 12, tzinfo=PARIS),
        "modified_at": datetime(2026, 11, 20, 9, 30, tzinfo=PARIS),
        "currency": "EUR",
        "total": Decimal("64.99"),
        "shipping_price": Decimal("0.00"),
        "shipping_service": "Colissimo",
        "payment": Payment("CB", Decimal("0.00")),
        "customer": Customer(first_name="Ada", email="ada@example.org"),
        "billing_address": HOME,
        "shipping_address": OFFICE,
        "relay": None,
        **given,
    }
    return MarketplaceOrder(lines=lines or (line(),), **values)


def product(product_id: str = "10001", **given: Any) -> Product:
    """Five in stock at 64.99, in the connection's currency."""
    values: dict[str, Any] = {
        "stock": 5,
        "as_of": NOW - HOUR,
        "price_final_incl_tax": Decimal("64.99"),
        "price_original_incl_tax": Decimal("79.99"),
        **given,
    }
    return Product(CatalogId("default"), ProductId(product_id), **values)


def context(
    *products: Product, now: datetime = NOW, conf: ConnectionSettings | None = None
) -> Context:
    """What a step may look at: these products, these settings, this moment."""
    conf = conf or settings()
    return Context(conf, Catalogue(products, conf.product_id_attribute), now)


class Story:
    """One order through one fact after the other, a second apart; keeps what each step changed.

    The products are given once; what the steps reserve is carried on from one to the next.
    """

    def __init__(self, *products: Product, **given: Any):
        self.settings = settings(**given)
        self.products = {p.id: p for p in products}
        self.now = NOW
        self.steps: list[Changes] = []

    @property
    def order(self) -> Order:
        return self.steps[-1].order

    @property
    def last(self) -> Changes:
        return self.steps[-1]

    @property
    def told(self) -> list[EventType]:
        """The order events of the last step; stock movements are asked for by name."""
        return [e.type for e in self.last.events if e.type is not EventType.STOCK_CHANGED]

    @property
    def moved(self) -> list[tuple[str, int, str]]:
        """The stock movements of the last step."""
        return [
            (e.data["product_id"], e.data["delta"], e.data["reason"])
            for e in self.last.events
            if e.type is EventType.STOCK_CHANGED
        ]

    @property
    def path(self) -> list[OrderState]:
        """Every state in turn, from the first step on."""
        return [move.to_state for changes in self.steps for move in changes.history]

    def context(self) -> Context:
        catalogue = Catalogue(self.products.values(), self.settings.product_id_attribute)
        return Context(self.settings, catalogue, self.now)

    def seen(self, *lines: Line, **given: Any) -> "Story":
        """The marketplace describes the order as it did last, but for what is given."""
        if not self.steps:
            return self._keep(
                first_sight(self._reading(marketplace_order(*lines, **given)), self.context())
            )
        facts = replace(self.order.facts, **given)
        return self.does(self._reading(replace(facts, lines=lines) if lines else facts))

    def _reading(self, order: MarketplaceOrder) -> Seen:
        return Seen(order, read_at=self.now)

    def does(self, fact: Fact) -> "Story":
        """Take one step; a refused command leaves everything as it was."""
        return self._keep(step(self.order, fact, self.context()))

    def carried_out(self, kind: ActionKind) -> "Story":
        return self.does(ActionCarriedOut(kind, "system"))

    def published(self) -> "Story":
        return self.does(AcceptedPublished())

    def changed(self, *products: Product, **given: Any) -> None:
        """The catalogue or the settings are other ones from now on."""
        self.products.update({p.id: p for p in products})
        self.settings = ConnectionSettings(**{**dict(self.settings), **given})

    def replaced(self, restocked: Product) -> None:
        """The store's new number includes the order: its reservation of that product is gone."""
        self.changed(restocked)
        held = {p: n for p, n in self.order.reserved.items() if p != restocked.id}
        self.steps.append(Changes(replace(self.order, reserved=held)))

    def _keep(self, changes: Changes) -> "Story":
        for product_id, units in changes.reserved.items():
            held = self.products[product_id]
            self.products[product_id] = replace(held, reserved=held.reserved + units)
        self.steps.append(changes)
        self.now += SECOND
        return self


def reach(state: OrderState, *products: Product, **given: Any) -> Story:
    """An order in that state, by the shortest usual way, nothing waiting but in `new`."""
    story = Story(*(products or (product(),)), **given)
    if state is OrderState.PENDING_MANUAL:
        story.changed(auto_accept=False)
        return story.seen()
    story.seen()
    for fact in _WAYS[state]:
        if isinstance(fact, int):
            story.seen(status=fact)
        else:
            story.does(fact)
    return story


_TAKEN = ActionCarriedOut(ActionKind.ACCEPT, "automatic")
_WAYS: dict[OrderState, Iterable[Fact | int]] = {
    OrderState.NEW: (),
    OrderState.ACCEPTED: (_TAKEN,),
    OrderState.SYNCED: (_TAKEN, AcceptedPublished()),
    OrderState.SHIPPED: (_TAKEN, AcceptedPublished(), SpartooStatus.SHIPPED),
    OrderState.CANCELLED: (SpartooStatus.CANCELLED,),
    OrderState.LOST: (_TAKEN, AcceptedPublished(), SpartooStatus.SHIPPED, SpartooStatus.LOST),
    OrderState.UNDELIVERED: (
        _TAKEN,
        AcceptedPublished(),
        SpartooStatus.SHIPPED,
        SpartooStatus.NOT_DELIVERED,
    ),
}


def only(changes: Changes, kind: EventType) -> Event:
    """The one event of that kind."""
    (event,) = [event for event in changes.events if event.type is kind]
    return event


# --- returns -------------------------------------------------------------------------------------

RETURN_ID = ReturnId("770041")
ITEM = ReturnItem("98_38", 123, "Boot", "Acme", "38", "red")


def marketplace_return(**given: Any) -> MarketplaceReturn:
    """A return that was asked for and not received yet."""
    values: dict[str, Any] = {
        "return_id": RETURN_ID,
        "order_id": ORDER_ID,
        "status": ReturnStatus.WAITING,
        "requested_at": datetime(2026, 11, 20, 10, 0, tzinfo=PARIS),
        "reason": "too small",
        "item": ITEM,
        **given,
    }
    return MarketplaceReturn(**values)


class ReturnStory:
    """One return through one fact after the other, a second apart; keeps what each step changed."""

    def __init__(self, **given: Any):
        self.settings = settings(**given)
        self.now = NOW
        self.steps: list[ReturnChanges] = []

    @property
    def returned(self) -> Return:
        return self.steps[-1].returned

    @property
    def last(self) -> ReturnChanges:
        return self.steps[-1]

    @property
    def told(self) -> list[EventType]:
        """The events of the last step."""
        return [event.type for event in self.last.events]

    @property
    def path(self) -> list[ReturnState]:
        """Every state in turn, from the first step on."""
        return [move.to_state for changes in self.steps for move in changes.history]

    def seen(self, **given: Any) -> "ReturnStory":
        """The marketplace describes the return as it did last, but for what is given."""
        if not self.steps:
            fact = ReturnSeen(marketplace_return(**given), self.now)
            return self._keep(return_first_sight(fact, self.settings, self.now))
        return self.does(ReturnSeen(replace(self.returned.facts, **given), self.now))

    def does(self, fact: ReturnFact) -> "ReturnStory":
        """Take one step; a refused command leaves everything as it was."""
        return self._keep(step_return(self.returned, fact, self.settings, self.now))

    def carried_out(self, kind: ActionKind, label: GivenLabel | None = None) -> "ReturnStory":
        return self.does(ReturnActionCarriedOut(kind, "system", label))

    def rejected(self, kind: ActionKind, label: GivenLabel | None = None) -> "ReturnStory":
        return self.does(ReturnActionRejected(kind, "rejected", "no", label))

    def _keep(self, changes: ReturnChanges) -> "ReturnStory":
        self.steps.append(changes)
        self.now += SECOND
        return self
