"""Whatever happens in whatever order: the invariants that `statemachine.step` promises.

A few orders share a few products; facts, commands, outcomes, stock numbers and settings come at
random. `World.take` stores what a step changes as the database does, and checks it.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from statemachine.changes import Changes, EventType
from statemachine.connection import ConnectionSettings, SyncedWhen, SyncLevel
from statemachine.draft import Context
from statemachine.facts import (
    AcceptedPublished,
    AcceptOrder,
    AcknowledgeOrder,
    ActionCarriedOut,
    ActionRejected,
    CancelOrder,
    CatalogueChanged,
    Command,
    Fact,
    Refused,
    RefuseOrder,
    RetryOrder,
    Seen,
)
from statemachine.model import (
    ActionKind,
    ActionStatus,
    CatalogId,
    Line,
    MarketplaceOrder,
    Order,
    OrderId,
    OrderState,
    Product,
    ProductId,
    ProductUpdate,
    SpartooStatus,
)
from statemachine.order import STATES_OF_STATUS, Trigger, target
from statemachine.step import first_sight, step
from statemachine.stock import Catalogue, Reservation, restock
from tests.unit.builders import HOUR, NOW, SECOND, line, marketplace_order, product, settings

UNDECIDED = (OrderState.NEW, OrderState.PENDING_MANUAL)
STATE_EVENTS = {EventType(f"order.{state}") for state in OrderState}
PRODUCTS = ("P1", "P2", "P3")

order_ids = st.sampled_from([OrderId("A"), OrderId("B"), OrderId("C")])
product_ids = st.sampled_from([ProductId(name) for name in PRODUCTS])
statuses = st.sampled_from([11, 11, 11, 2, 2, 3, 41, 45, 47])
items = st.lists(
    st.tuples(
        st.sampled_from([*PRODUCTS, "unknown"]),
        st.integers(1, 3),
        st.sampled_from(["64.99", "64.99", "1.00"]),
    ),
    min_size=1,
    max_size=3,
).map(
    lambda wanted: tuple(
        line(number, reference, quantity=quantity, price=price)
        for number, (reference, quantity, price) in enumerate(wanted, start=1)
    )
)
commands: st.SearchStrategy[Command] = st.sampled_from(
    [
        AcceptOrder("eve"),
        RefuseOrder("eve"),
        CancelOrder("eve"),
        RetryOrder("eve"),
        AcknowledgeOrder("store", "S-1"),
    ]
)
SENT = {ActionKind.ACCEPT: SpartooStatus.IN_PREPARATION, ActionKind.CANCEL: SpartooStatus.CANCELLED}


class World(RuleBasedStateMachine):
    """The database, the marketplace and the store in a few dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.settings = settings()
        self.products = {ProductId(p): product(p, stock=3) for p in PRODUCTS}
        self.orders: dict[OrderId, Order] = {}
        self.marketplace: dict[OrderId, MarketplaceOrder] = {}

    # --- storing and checking a step ---

    def context(self) -> Context:
        self.now += SECOND
        return Context(self.settings, Catalogue(self.products.values(), "id"), self.now)

    def take(self, order_id: OrderId, fact: Fact) -> Changes:
        before = self.orders.get(order_id)
        context = self.context()
        if before is None:
            assert isinstance(fact, Seen)
            changes = first_sight(fact, context)
        else:
            changes = step(before, fact, context)
        assert changes.created is (before is None)
        self._check_moves(before, changes)
        self._check_actions(before, changes)
        self._check_stock(before, changes)
        self.orders[order_id] = changes.order
        return changes

    def _check_moves(self, before: Order | None, changes: Changes) -> None:
        """Only legal transitions, each from where the last one ended, each told in turn."""
        state = before.state if before else None
        for move in changes.history:
            assert move.from_state is state
            if move.from_state is None:
                assert move.to_state is OrderState.NEW
            else:
                assert target(move.from_state, Trigger(move.trigger)) is move.to_state
            state = move.to_state
        assert changes.order.state is state
        silent = self.settings.sync_level is SyncLevel.STOCK_ONLY
        told = [e.type for e in changes.events if e.type in STATE_EVENTS]
        assert told == ([] if silent else [f"order.{move.to_state}" for move in changes.history])
        assert not silent or all(e.type is EventType.STOCK_CHANGED for e in changes.events)

    def _check_actions(self, before: Order | None, changes: Changes) -> None:
        """Nothing is queued twice while it waits; what is not touched is not stored."""
        for action in changes.actions:
            assert changes.order.actions[action.kind] is ActionStatus.PENDING
            assert before is None or not before.waits_for(action.kind)
            assert action.kind is not ActionKind.ACCEPT or changes.order.state in UNDECIDED
        both = [k for k in SENT if changes.order.waits_for(k)]
        assert len(both) < 2
        if not changes.touched:
            assert changes.order == before
            assert (changes.history, changes.events, changes.actions) == ((), (), ())
            assert changes.reserved == {}

    def _check_stock(self, before: Order | None, changes: Changes) -> None:
        """The difference is what the order holds now less what it held, and is told as such."""
        held = before.reserved if before else {}
        now_held = changes.order.reserved
        moved = {p: now_held.get(p, 0) - held.get(p, 0) for p in {*held, *now_held}}
        assert changes.reserved == {p: n for p, n in moved.items() if n}
        told = [e for e in changes.events if e.type is EventType.STOCK_CHANGED]
        assert {e.subject: -e.data["delta"] for e in told} == changes.reserved
        assert len(told) == len(changes.reserved)
        for product_id, units in changes.reserved.items():
            kept = self.products[product_id]
            self.products[product_id] = replace(kept, reserved=kept.reserved + units)
        for event in told:
            after = self.products[ProductId(event.subject)]
            figures = (event.data["available"], event.data["shortfall"])
            assert figures == (after.available, after.shortfall)
        if any(a.by == "automatic" for a in changes.actions):
            assert all(self.products[p].shortfall == 0 for p in now_held)

    # --- what happens ---

    @rule(order_id=order_ids, lines=items, status=statuses)
    def placed(self, order_id: OrderId, lines: tuple[Line, ...], status: int) -> None:
        if order_id not in self.orders:
            order = marketplace_order(*lines, order_id=order_id, status=status)
            self.marketplace[order_id] = order
            self.take(order_id, Seen(order, self.now))

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), status=statuses | st.just(99), lines=st.none() | items)
    def looked_at(self, data: st.DataObject, status: int, lines: tuple[Line, ...] | None) -> None:
        order = self._some_order(data)
        was = self.marketplace[order.id]
        seen = replace(was, status=status, lines=lines or was.lines)
        self.marketplace[order.id] = seen
        changes = self.take(order.id, Seen(seen, self.now + SECOND))
        agreeing = STATES_OF_STATUS.get(status, frozenset())
        recorded = status == SpartooStatus.VERIFIED and changes.order.state is OrderState.SYNCED
        assert changes.order.state in agreeing or recorded or changes.order.problem

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), status=statuses)
    def looked_at_too_late(self, data: st.DataObject, status: int) -> None:
        order = self._some_order(data)
        old = Seen(replace(order.facts, status=status), order.changed_at)
        changes = self.take(order.id, old)
        assert changes.stale
        assert changes.order is order

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), command=commands)
    def commanded(self, data: st.DataObject, command: Command) -> None:
        order = self._some_order(data)
        try:
            self.take(order.id, command)
        except Refused:
            return
        again = self.take(order.id, command)
        assert not again.touched

    @precondition(lambda self: any(self._waiting()))
    @rule(data=st.data(), done=st.booleans())
    def answered(self, data: st.DataObject, done: bool) -> None:
        order, kind = data.draw(st.sampled_from(self._waiting()))
        if not done:
            self.take(order.id, ActionRejected(kind, "rejected", "-3"))
        else:
            if kind in SENT:
                was = self.marketplace[order.id]
                self.marketplace[order.id] = replace(was, status=SENT[kind])
            self.take(order.id, ActionCarriedOut(kind, "system"))
        assert not self.orders[order.id].waits_for(kind)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), done=st.booleans())
    def answered_after_it_was_superseded(self, data: st.DataObject, done: bool) -> None:
        order = self._some_order(data)
        kind = ActionKind.ACCEPT
        if order.actions.get(kind) is ActionStatus.SUPERSEDED:
            rejected = ActionRejected(kind, "rejected", "-3")
            self.take(order.id, ActionCarriedOut(kind, "system") if done else rejected)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def published(self, data: st.DataObject) -> None:
        order = self._some_order(data)
        if order.state not in UNDECIDED:
            self.take(order.id, AcceptedPublished())
            assert not self.take(order.id, AcceptedPublished()).touched

    @rule(
        product_id=product_ids,
        stock=st.none() | st.integers(0, 8),
        age=st.none() | st.integers(-2, 3),
        price=st.none() | st.sampled_from([Decimal("64.99"), Decimal("90.00")]),
    )
    def restocked(
        self, product_id: ProductId, stock: int | None, age: int | None, price: Decimal | None
    ) -> None:
        as_of = None if age is None else self.now - age * HOUR
        update = ProductUpdate(product_id, stock=stock, price_final_incl_tax=price, as_of=as_of)
        held = [
            Reservation(o.connection, o.id, p, n, o.known_at)
            for o in self.orders.values()
            for p, n in o.reserved.items()
            if p == product_id
        ]
        before = self.products[product_id]
        result = restock(CatalogId("default"), before, update, held, self.now)
        if result is None:
            return
        self._replace(result.product, {r.order_id for r in result.replaced})
        for order in list(self.orders.values()):
            self.take(order.id, CatalogueChanged())

    def _replace(self, after: Product, orders: set[OrderId]) -> None:
        self.products[after.id] = after
        for order_id in orders:
            order = self.orders[order_id]
            rest = {p: n for p, n in order.reserved.items() if p != after.id}
            self.orders[order_id] = replace(order, reserved=rest)

    @rule(hours=st.integers(1, 3))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(
        auto_accept=st.booleans(),
        sync_level=st.sampled_from([*[SyncLevel.ORDERS_AND_STOCK] * 3, SyncLevel.STOCK_ONLY]),
        synced_when=st.sampled_from(SyncedWhen),
    )
    def configured(self, auto_accept: bool, sync_level: SyncLevel, synced_when: SyncedWhen) -> None:
        given = {"auto_accept": auto_accept, "sync_level": sync_level, "synced_when": synced_when}
        self.settings = ConnectionSettings(**{**dict(self.settings), **given})

    def _some_order(self, data: st.DataObject) -> Order:
        return self.orders[data.draw(st.sampled_from(sorted(self.orders)))]

    def _waiting(self) -> list[tuple[Order, ActionKind]]:
        return [(o, k) for o in self.orders.values() for k in o.actions if o.waits_for(k)]

    # --- what always holds ---

    @invariant()
    def reservations_are_what_the_orders_hold(self) -> None:
        for product_id, kept in self.products.items():
            recount = sum(order.reserved.get(product_id, 0) for order in self.orders.values())
            assert kept.reserved == recount
        assert all(n > 0 for order in self.orders.values() for n in order.reserved.values())

    @invariant()
    def only_orders_accepted_or_to_be_hold_units(self) -> None:
        for order in self.orders.values():
            if order.state is OrderState.CANCELLED:
                assert not order.reserved
            elif order.state in UNDECIDED and order.reserved:
                assert any(order.waits_for(kind) for kind in SENT)


World.TestCase.settings = hypothesis_settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
TestWorld = World.TestCase
