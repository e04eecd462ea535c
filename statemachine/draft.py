"""A step in the making: moves, events, actions and reservations collected into one Changes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from statemachine.changes import Action, Changes, Event, Transition
from statemachine.connection import ConnectionSettings, SyncLevel
from statemachine.events import changed_event, problem_event, stock_event, transition_event
from statemachine.model import (
    ActionKind,
    ActionStatus,
    CatalogId,
    Decision,
    Order,
    OrderState,
    Problem,
    ProductId,
    ShippedItem,
)
from statemachine.order import GIVEN_TO_CARRIER, Trigger, move
from statemachine.stock import Catalogue, ordered, with_reserved


@dataclass(frozen=True, slots=True)
class Context:
    """What a step may look at beside the order and the fact."""

    settings: ConnectionSettings
    catalogue: Catalogue
    now: datetime
    shipping_services: tuple[str, ...] = ()  # names that the connection's orders bear


class Draft:
    """Collects what one step does to one order; only this class writes an order's fields."""

    def __init__(self, order: Order, context: Context, *, created: bool = False):
        self.order = order
        self.context = context
        self._before = order
        self._created = created
        self._history: list[Transition] = []
        self._events: list[Event] = []
        self._actions: dict[ActionKind, Action] = {}
        self._settled: dict[ActionKind, str] = {}
        self._reserved: dict[ProductId, int] = {}
        self._decided: Decision | None = None
        self.note: str | None = None

    @property
    def silent(self) -> bool:
        """`stock_only`: the order is recorded, no order event leaves."""
        return self.context.settings.sync_level is SyncLevel.STOCK_ONLY

    def set(self, **fields: Any) -> None:
        """Write fields of the order."""
        self.order = replace(self.order, **fields)

    def begin(self, by: str) -> None:
        """The order is seen for the first time."""
        self._tell(Transition(None, OrderState.NEW, "see", by, self.context.now))

    def move(self, trigger: Trigger, by: str, reason: str | None = None) -> None:
        """Take one transition, with its history and event. Raises IllegalMove."""
        before = self.order.state
        self.set(state=move(before, trigger))
        self._tell(Transition(before, self.order.state, str(trigger), by, self.context.now, reason))

    def _tell(self, transition: Transition) -> None:
        self._history.append(transition)
        if not self.silent:
            self._events.append(transition_event(self.order, transition, self.context.settings))

    def decide(self, decision: Decision) -> None:
        """Keep a decision and the products it matched."""
        self.set(decision=decision)
        self.match()
        self._decided = decision

    def match(self) -> None:
        """Find the products of the order's lines afresh."""
        self.set(products=self.context.catalogue.matches(self.order.facts.lines))

    def queue(self, kind: ActionKind, by: str, reason: str | None = None) -> None:
        """Store an intention for the marketplace; once while it waits."""
        if self.order.waits_for(kind):
            return
        self._actions[kind] = Action(kind, reason, by)
        self._settled.pop(kind, None)
        self.set(actions={**self.order.actions, kind: ActionStatus.PENDING})

    def settle(self, kind: ActionKind, status: ActionStatus) -> None:
        """An intention is carried out, failed, or no longer wanted."""
        self._settled[kind] = str(status)
        self.set(actions={**self.order.actions, kind: status})

    def reserve(self, reason: str) -> None:
        """Promise the order's units, once; lines without a single product promise nothing."""
        if self.order.reserved:
            return
        self.match()
        if self._has_left():
            return
        self._hold(ordered(self.order.facts.lines, self.order.products), reason)

    def _has_left(self) -> bool:
        """True when it was shipped before it was seen: the store has long counted its units."""
        return self._created and self.order.facts.status in GIVEN_TO_CARRIER

    def known_to_store(self) -> None:
        """From now at the latest the store's stock numbers include the order."""
        now = self.context.now
        self.set(known_at=min(self.order.known_at or now, now))

    def readjust(self, reason: str) -> None:
        """The items changed: what is promised of them follows, until the store knows the order."""
        known_at = self.order.known_at
        if self.order.reserved and (known_at is None or known_at > self.context.now):
            self._hold(ordered(self.order.facts.lines, self.order.products), reason)

    def give_up(self, items: Iterable[ShippedItem]) -> None:
        """These units will never leave: what is promised of them ends."""
        products, held = self.order.products, dict(self.order.reserved)
        self.set(not_shipped=tuple(items))
        for item in self.order.not_shipped:
            product_id = products.get(item.line)
            if product_id in held:
                held[product_id] = max(held[product_id] - item.quantity, 0)
        self._hold({p: n for p, n in held.items() if n}, "order_cancelled")

    def release(self, reason: str) -> None:
        """Give back what the store does not know yet; what it knows, it gives back itself."""
        self._hold({}, reason)

    def _hold(self, units: Mapping[ProductId, int], reason: str) -> None:
        held = self.order.reserved
        moved = {p: units.get(p, 0) - held.get(p, 0) for p in {*held, *units}}
        catalog = CatalogId(self.context.settings.catalog)
        self.set(reserved=units, reserved_in=catalog if units else None)
        self._move_stock({p: n for p, n in moved.items() if n}, reason)

    def _move_stock(self, units: Mapping[ProductId, int], reason: str) -> None:
        for product_id, quantity in sorted(units.items()):
            self._reserved[product_id] = self._reserved.get(product_id, 0) + quantity
            product = self.context.catalogue.get(product_id)
            if product is not None:
                after = with_reserved(product, self._reserved[product_id])
                now = self.context.now
                self._events.append(stock_event(after, -quantity, reason, now, self.order))

    def stamp_shipments(self) -> None:
        """The parcels are with the carrier."""
        stamped = (
            shipment if shipment.shipped_at else replace(shipment, shipped_at=self.context.now)
            for shipment in self.order.shipments
        )
        self.set(shipments=tuple(stamped))

    def changed(self, changes: Sequence[Mapping[str, Any]]) -> None:
        """Address or items changed on the marketplace."""
        if not self.silent:
            settings = self.context.settings
            self._events.append(changed_event(self.order, changes, settings, self.context.now))

    def trouble(self, code: str, message: str, action: ActionKind | None = None) -> None:
        """A person must look; told once, not at every look."""
        known = self.order.problem
        if known is not None and (known.code, known.message) == (code, message):
            return
        self.set(problem=Problem(code, message, action, self.context.now))
        if not self.silent:
            self._events.append(problem_event(self.order, self.context.settings, self.context.now))

    def solve(self, kind: ActionKind) -> None:
        """The problem of that action is over."""
        if self.order.problem is not None and self.order.problem.action == kind:
            self.set(problem=None)

    def finish(self, answer: Literal["done", "queued"] = "done") -> Changes:
        """All of it, as data."""
        return Changes(
            order=self.order,
            created=self._created,
            touched=self._created or self.order != self._before or bool(self._actions),
            history=tuple(self._history),
            events=tuple(self._events),
            actions=tuple(self._actions.values()),
            settled=dict(self._settled),
            reserved={p: n for p, n in self._reserved.items() if n},
            decided=self._decided,
            answer=answer,
            note=self.note,
        )
