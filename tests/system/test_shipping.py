"""From accepted to delivered, lost or come back: by queue, in the back office, past faults."""

from itertools import product
from typing import Any

import pytest
from pydantic import TypeAdapter

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from adapters.spartoo.simulator.fault_kinds import AnyFault, Latency
from adapters.spartoo.simulator.ledger import Call
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from tests.fixtures.checks import CHANGE_ORDER
from tests.fixtures.koongo import Asker, Consumer, asking
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

EXPORT = "xml_export_orders"
ACCEPTED = ["order.new", "order.accepted", "order.synced"]
SHIPPED = [*ACCEPTED, "order.shipped"]
FAULT: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)
LINES = (catalog_line(VARIANTS["98_38"], 2), catalog_line(VARIANTS["90_36"], 1))


def in_preparation(system: System, count: int = 1) -> list[SimulatedOrder]:
    """Orders that somebody accepted in the back office."""
    return system.place("manual", count, lines=LINES, status=Status.IN_PREPARATION)


def changes(system: System) -> list[Call]:
    """Every call that was to change an order."""
    return [call for call in system.simulator.ledger.after(0) if call.service == CHANGE_ORDER]


def parcel(number: str, *items: tuple[int, int]) -> dict[str, Any]:
    packed = [{"line": line, "quantity": quantity} for line, quantity in items]
    return {"tracking_number": number, "shipping_service": "DPD", "items": packed}


async def ask(asker: Asker, what: str, order: SimulatedOrder, **fields: Any) -> dict[str, Any]:
    return await asker.ask(f"order.{what}", connection="manual", order_id=order.id, **fields)


async def test_an_order_is_shipped_once_and_its_record_corrected(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = in_preparation(running)
    await consumer.has(order.id, *ACCEPTED)
    given = {"tracking_number": "T1", "shipping_service": " mondial  RELAY"}
    assert (await ask(asker, "ship", order, **given))["status"] == "queued"
    await consumer.has(order.id, *SHIPPED)
    assert (order.status, order.tracking_number) == (Status.SHIPPED, "T1")
    (told,) = consumer.of_type("order.shipped")
    (shipment,) = told.body["data"]["order"]["shipments"]
    assert (shipment["tracking_number"], shipment["shipping_service"]) == ("T1", "Mondial Relay")
    assert shipment["items"] == [{"line": 1, "quantity": 2}, {"line": 2, "quantity": 1}]
    assert (await ask(asker, "ship", order, **given))["status"] == "done"
    reply = await ask(asker, "ship", order, **given | {"tracking_number": "T2"})
    assert reply["status"] == "done"
    assert "Spartoo keeps the first tracking number it was given (T1)" in reply["note"]
    assert [s["tracking_number"] for s in reply["order"]["shipments"]] == ["T2"]
    await consumer.has(order.id, *SHIPPED, "order.changed")
    await running.check(consumer)
    assert [call.code for call in changes(running)] == [1]


@pytest.mark.parametrize("multi_package", [True, False])
async def test_an_order_is_shipped_when_every_unit_is_in_a_parcel(
    system: System, consumer: Consumer, amqp_url: str, multi_package: bool
) -> None:
    system.simulator.world.account("manual").multi_package = multi_package
    system.connect("manual", multi_package=multi_package)
    (order,) = in_preparation(system)
    await system.run()
    await consumer.has(order.id, *ACCEPTED)
    async with asking(amqp_url) as asker:
        reply = await ask(asker, "ship", order, parcels=[parcel("P1", (1, 1))])
        assert (reply["status"], order.status) == ("done", Status.IN_PREPARATION)
        rest = [parcel("P2", (1, 1)), parcel("P3", (2, 1))]
        assert (await ask(asker, "ship", order, parcels=rest))["status"] == "queued"
    await consumer.has(order.id, *ACCEPTED, "order.changed", "order.shipped")
    (told,) = consumer.of_type("order.shipped")
    numbers = [s["tracking_number"] for s in told.body["data"]["order"]["shipments"]]
    assert numbers == ["P1", "P2", "P3"]
    if multi_package:
        assert [package.tracking_number for package in order.packages] == numbers
    else:
        assert order.tracking_number == "P1"
    assert len(changes(system)) == 1
    await system.check(consumer)


async def test_a_customer_never_gets_two_mails(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    """Whether the call took effect or not: the order is read before it is tried again."""
    faults = ("http_error", "drop", "html", "empty")
    orders = in_preparation(running, 2 * len(faults))
    for order in orders:
        await consumer.has(order.id, *ACCEPTED)
    for kind, after_change in product(faults, (False, True)):
        scope = {"kind": kind, "after_change": after_change, "service": CHANGE_ORDER, "count": 1}
        running.misbehave(FAULT.validate_python(scope))
    for order in orders:
        await ask(asker, "ship", order, tracking_number=f"T-{order.id}", shipping_service="DPD")
    for order in orders:
        await consumer.has(order.id, *SHIPPED)
        mailed = [call for call in changes(running) if call.order_id == order.id and call.changed]
        assert len(mailed) == 1
        assert order.tracking_number == f"T-{order.id}"
    await running.check(consumer)


async def test_bad_shipments_are_refused_and_nothing_changes(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,), (waiting,) = in_preparation(running), running.place("manual")
    await consumer.has(order.id, *ACCEPTED)
    await consumer.has(waiting.id, "order.new", "order.pending_manual")
    everything = (
        "select (select json_agg(o order by o.order_id) from orders as o)::text as orders,"
        " (select count(*) from actions) as actions, (select count(*) from events) as events"
    )
    before = await running.rows(everything)
    good = {"tracking_number": "T1", "shipping_service": "DPD"}
    bad: list[tuple[str, dict[str, Any], str]] = [
        ("ship", good | {"order_id": "0"}, "unknown_order"),
        ("ship", good | {"connection": "nobody"}, "unknown_connection"),
        ("ship", good | {"order_id": waiting.id}, "wrong_state"),
        ("ship", {"shipping_service": "DPD"}, "bad_command"),
        ("ship", good | {"tracking_number": " "}, "bad_command"),
        ("ship", good | {"parcels": [parcel("P1", (1, 1))]}, "bad_command"),
        ("ship", {"complete": True}, "wrong_state"),
        ("ship", {"complete": False}, "bad_command"),
        ("ship", {"parcels": []}, "bad_command"),
        ("ship", {"parcels": [parcel("P1")]}, "bad_command"),
        ("ship", {"parcels": [parcel("P1", (3, 1))]}, "bad_command"),
        ("ship", {"parcels": [parcel("P1", (1, 3))]}, "bad_command"),
        ("ship", {"parcels": [parcel("P1", (1, 0))]}, "bad_command"),
        ("ship", {"parcels": [parcel("P1", (1, 1)), parcel("P2", (1, 2))]}, "bad_command"),
        ("lost", {}, "wrong_state"),
        ("undelivered", {}, "wrong_state"),
        ("lost", {"order_id": "0"}, "unknown_order"),
    ]
    for what, fields, code in bad:
        asked = {"connection": "manual", "order_id": order.id} | fields
        reply = await asker.ask(f"order.{what}", **asked)
        assert (reply["status"], reply["error"]["code"]) == ("refused", code), fields
    reply = await asker.ask("stock.set", product_id="98_38", stock=-1)
    assert (reply["status"], reply["error"]["code"]) == ("refused", "bad_command")
    assert "stock" in reply["error"]["message"]
    assert await running.rows(everything) == before
    assert changes(running) == []


async def test_a_partly_shipped_order_is_not_cancelled_by_mistake_and_is_closed(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = in_preparation(running)
    await consumer.has(order.id, *ACCEPTED)
    await ask(asker, "ship", order, parcels=[parcel("P1", (1, 1))])
    refused = await ask(asker, "cancel", order)
    assert refused["error"]["code"] == "parcels_shipped"
    assert (await ask(asker, "ship", order, complete=True))["status"] == "queued"
    await consumer.has(order.id, *ACCEPTED, "order.changed", "order.shipped")
    (told,) = consumer.of_type("order.shipped")
    missing = [{"line": 1, "quantity": 1}, {"line": 2, "quantity": 1}]
    assert told.body["data"]["order"]["not_shipped"] == missing
    assert (order.status, order.tracking_number) == (Status.SHIPPED, "P1")
    await running.check(consumer)


async def test_shipped_orders_are_lost_or_come_back(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    lost, back = in_preparation(running, 2)
    for order in (lost, back):
        await consumer.has(order.id, *ACCEPTED)
        await ask(asker, "ship", order, tracking_number="T1", shipping_service="DPD")
        await consumer.has(order.id, *SHIPPED)
    assert (await ask(asker, "lost", lost))["status"] == "queued"
    assert (await ask(asker, "undelivered", back))["status"] == "queued"
    await consumer.has(lost.id, *SHIPPED, "order.lost")
    await consumer.has(back.id, *SHIPPED, "order.undelivered")
    assert (lost.status, back.status) == (Status.LOST, Status.NOT_DELIVERED)
    reply = await ask(asker, "cancel", lost)
    assert reply["error"]["code"] == "wrong_state"
    await running.check(consumer)


async def test_a_cancellation_that_crosses_a_shipment_settles_on_what_spartoo_says(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    """Shipped in the back office while it is cancelled here, before the next look."""
    (order,) = in_preparation(running)
    await consumer.has(order.id, *ACCEPTED)
    running.misbehave(  # before it is read; calls that change something are not slowed
        Latency(kind="latency", service=EXPORT, account="manual", seconds=3, count=2)
    )
    running.simulator.world.set_status(order, Status.SHIPPED, "BACK-OFFICE")
    assert (await ask(asker, "cancel", order))["status"] == "queued"
    await consumer.has(order.id, *SHIPPED, "order.problem")

    async def troubled() -> bool:
        rows = await running.rows("select problem ->> 'code' as code from orders")
        return [row["code"] for row in rows] == ["wrong_chronology"]

    await eventually(troubled)
    assert order.status is Status.SHIPPED
    await running.check(consumer)
