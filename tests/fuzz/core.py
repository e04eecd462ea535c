"""The core: orders as they come from Spartoo's XML, through steps in any order.

The first 24 bytes of an input are the settings, the catalogue and what happens; the rest is the
XML of an order. Promised: UnknownStatus, before anything is kept; Refused for a command. Each step
is checked as the core's property tests check it, and its events as they are stored.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from decimal import Decimal

import orjson

from adapters.ports import UnreadableOrder
from adapters.postgres.codec import dump
from adapters.spartoo.order import SpartooOrder
from statemachine.changes import Changes
from statemachine.connection import ConnectionSettings, PriceAttribute, SyncedWhen, SyncLevel
from statemachine.events import order_document
from statemachine.facts import (
    AcceptedPublished,
    AcceptOrder,
    AcknowledgeOrder,
    ActionCarriedOut,
    ActionRejected,
    CancelOrder,
    CatalogueChanged,
    Fact,
    LoseOrder,
    Parcel,
    Refused,
    RefuseOrder,
    RetryOrder,
    Seen,
    ShipOrder,
    UndeliverOrder,
    UnknownStatus,
)
from statemachine.model import MarketplaceOrder, OrderId, ProductId, ShippedItem
from tests.fuzz.spartoo_xml import FULL, check_order
from tests.fuzz.target import Target, check_text
from tests.unit.builders import SECOND, product
from tests.unit.spartoo_exports import PARIS, order
from tests.unit.test_core_properties import World

_PROGRAM = 24
_HEAD = 6  # bytes of the program that are no steps
_STATUSES = (11, 2, 3, 41, 45, 47, 99)
_MOST_UNITS = 2**31 - 1  # of a reservation, as it is stored
_PRICES = tuple(map(Decimal, ("64.99", "0", "0.01", "999999999999.123456789012345678", "5")))
_THRESHOLDS = tuple(map(Decimal, ("0.97", "2", "0.000000000000000001", "1.999999999999999999")))
_LAGS = (timedelta(0), timedelta(hours=1), timedelta(days=3650))


def try_input(data: bytes) -> None:
    """Take the steps that the input names, as far as its order can be read."""
    program, xml = data[:_PROGRAM].ljust(_PROGRAM, b"\0"), data[_PROGRAM:]
    try:
        seen = SpartooOrder.from_xml(xml, PARIS, "EUR").read()
    except UnreadableOrder:
        return
    check_order(seen)
    world = _world(program, seen)
    with suppress(UnknownStatus):
        _happen(world, program[_HEAD:], seen)


def _world(program: bytes, seen: MarketplaceOrder) -> World:
    """A connection and a catalogue that has some of the order's products."""
    switches, threshold, lag, stock, price, kind = program[:_HEAD]
    world = World()
    world.settings = ConnectionSettings(
        id="shoes-fr",
        active=True,
        auto_accept=bool(switches & 1),
        sync_level=SyncLevel.STOCK_ONLY if switches & 6 == 6 else SyncLevel.ORDERS_AND_STOCK,
        synced_when=SyncedWhen.ACKNOWLEDGED if switches & 8 else SyncedWhen.PUBLISHED,
        price_attribute=PriceAttribute.ORIGINAL if switches & 16 else PriceAttribute.FINAL,
        use_billing_address_for_shipping=bool(switches & 32),
        multi_package=bool(switches & 64),
        price_threshold=_THRESHOLDS[threshold % len(_THRESHOLDS)],
        store_lag=_LAGS[lag % len(_LAGS)],
    )
    names = [line.size_reference or line.reference for line in seen.lines]
    world.products = {
        ProductId(name): product(
            name,
            stock=stock if stock < 128 else _MOST_UNITS,
            price_final_incl_tax=_PRICES[price % len(_PRICES)],
            currency=(None, "EUR", "SEK")[kind % 3],
        )
        for name in names[: 1 + kind // 3]
        if name
    }
    return world


def _happen(world: World, steps: bytes, seen: MarketplaceOrder) -> None:
    _check(world, world.take(seen.order_id, Seen(seen, world.now)))
    for number in steps:
        fact = _fact(world, number, seen.order_id)
        with suppress(Refused):
            _check(world, world.take(seen.order_id, fact))
        world.reservations_are_what_the_orders_hold()
        world.only_orders_accepted_or_to_be_hold_units()


def _fact(world: World, number: int, order_id: OrderId) -> Fact:
    """What happens next."""
    known = world.orders[order_id]
    kind, which = number % 16, number // 16
    waiting = [action for action in known.actions if known.waits_for(action)]
    lines = known.facts.lines
    if kind < 3 or (kind < 6 and not waiting):
        status = _STATUSES[which % len(_STATUSES)]
        seen = replace(known.facts, status=status, lines=lines[: 1 + which] if kind else lines)
        return Seen(seen, world.now + SECOND)
    if kind < 5:
        return ActionCarriedOut(waiting[which % len(waiting)], "system")
    if kind == 5:
        return ActionRejected(waiting[which % len(waiting)], "rejected", "-3")
    items = tuple(ShippedItem(line.line, line.quantity) for line in lines[: 1 + which])
    return (
        AcceptedPublished(),
        CatalogueChanged(),
        AcceptOrder("eve"),
        RefuseOrder("eve"),
        CancelOrder("eve", "no stock"),
        RetryOrder("eve"),
        AcknowledgeOrder("store", "S-1"),
        ShipOrder("store", (Parcel(f"8R{which}", ("DPD", "nobody")[which % 2], items),)),
        ShipOrder("store", (Parcel("8R1", "dpd"),)),
        (LoseOrder if which % 2 else UndeliverOrder)("eve"),
    )[kind - 6]


def _check(world: World, changes: Changes) -> None:
    """What is stored and published of a step."""
    for event in changes.events:
        body = dump(event.data)
        assert b"\\u0000" not in body
        assert isinstance(orjson.loads(body), dict)
        check_text(event.subject)
    assert all(0 < units <= _MOST_UNITS for units in changes.order.reserved.values())
    dump(asdict(changes.order.facts))
    dump(order_document(changes.order, world.settings))
    decision = changes.order.decision
    for check in decision.checks if decision else ():
        assert len(check.detail) < 1000


def seeds() -> Iterator[bytes]:
    """A few lives of a few orders."""
    three = FULL.replace("<products_qty>2<", "<products_qty>999999999<")
    product_xml = FULL[FULL.index("<products>") + 10 : FULL.index("</products>")]
    many = order("A1", "").replace("</products>", product_xml * 3 + "</products>")
    bodies = (
        order("A1"),
        order("A1", FULL),
        order("A1", three),
        many,
        many.replace(">2<", ">999999999<"),
    )
    for body in bodies:
        for status in ("11", "2", "3", "41", "99"):
            xml = body.replace("_id>11<", f"_id>{status}<").replace(
                "<products_qty>1", "<products_reference>98</products_reference><products_qty>1"
            )
            for program in _LIVES:
                yield program.ljust(_PROGRAM, b"\x07") + xml.encode()


_LIVES = (
    bytes([1, 0, 1, 200, 0, 9, 3, 6, 0x20, 13, 0x10, 15]),
    bytes([0, 1, 2, 1, 3, 9, 8, 3, 6, 14, 3, 15, 3]),
    bytes([7, 2, 0, 5, 3, 9, 0x10, 0x30, 10, 11, 12]),
    bytes([9, 3, 2, 127, 4, 0, 5, 11, 3, 6, 12, 13, 0x1D, 0x2D, 3]),
)

TARGET = Target("core", try_input, seeds, share=150)
