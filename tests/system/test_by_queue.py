"""Commands from the queue: carried out once, answered, and seen by everyone downstream."""

import json
from datetime import UTC, datetime, timedelta

from adapters.spartoo.simulator import catalog_products
from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from adapters.spartoo.simulator.fault_kinds import AnsweredCode, Latency
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from tests.fixtures.checks import acceptances
from tests.fixtures.koongo import Asker, Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

HELD = ["order.new", "order.pending_manual"]
VARIANT = VARIANTS["98_38"]


async def waiting(system: System, consumer: Consumer, count: int = 1) -> list[SimulatedOrder]:
    """Orders that wait for a decision."""
    orders = system.place("manual", count, lines=[catalog_line(VARIANT, 1)])
    for order in orders:
        await consumer.has(order.id, *HELD)
    return orders


async def product(system: System, catalog: str = "default") -> tuple[int, int]:
    """Stock and reserved of VARIANT."""
    (row,) = await system.rows(
        "select stock, reserved from products where catalog = $1 and id = $2",
        catalog,
        VARIANT.size_reference,
    )
    return row["stock"], row["reserved"]


async def test_orders_are_accepted_refused_cancelled_and_acknowledged(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    orders = await waiting(running, consumer, 3)
    accepted, refused, cancelled = orders
    on = {"connection": "manual"}
    for order in (accepted, cancelled):
        reply = await asker.ask("order.accept", order_id=order.id, **on)
        assert (reply["status"], reply["order"]["order_id"]) == ("queued", order.id)
    reply = await asker.ask("order.refuse", order_id=refused.id, reason="damaged", **on)
    assert reply["status"] == "queued"
    await consumer.has(cancelled.id, *HELD, "order.accepted", "order.synced")
    assert (await asker.ask("order.cancel", order_id=cancelled.id, **on))["status"] == "queued"
    await consumer.has(accepted.id, *HELD, "order.accepted", "order.synced")
    reply = await asker.ask("order.acknowledge", order_id=accepted.id, store_order_id="S-1", **on)
    assert reply["status"] == "done"
    assert reply["order"]["store_order_id"] == "S-1"
    await consumer.has(refused.id, *HELD, "order.cancelled")
    await consumer.has(cancelled.id, *HELD, "order.accepted", "order.synced", "order.cancelled")
    assert [order.status for order in orders] == [
        Status.IN_PREPARATION,
        Status.CANCELLED,
        Status.CANCELLED,
    ]
    await running.check(consumer)
    assert await product(running) == (100, 1)


async def test_the_same_id_again_is_answered_the_same_and_done_once(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = await waiting(running, consumer)
    asked = {"id": "twice", "connection": "manual", "order_id": order.id}
    first = await asker.ask("order.accept", **asked)
    await consumer.has(order.id, *HELD, "order.accepted", "order.synced")
    assert await asker.ask("order.accept", **asked) == first
    await running.check(consumer)
    assert acceptances(running.simulator) == {order.id}


async def test_while_the_action_waits_the_command_is_answered_queued_and_adds_nothing(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = await waiting(running, consumer)
    running.misbehave(Latency(kind="latency", service="xml_maj_orders", seconds=6, count=1))
    asked = {"connection": "manual", "order_id": order.id}
    replies = [await asker.ask("order.accept", **asked) for _ in range(3)]
    assert [reply["status"] for reply in replies] == ["queued"] * 3
    assert order.status is Status.VERIFIED
    await consumer.has(order.id, *HELD, "order.accepted", "order.synced")
    await running.check(consumer)


async def test_a_problem_is_told_and_retried(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = await waiting(running, consumer)
    running.misbehave(AnsweredCode(kind="code", service="xml_maj_orders", code=-99, count=1))
    asked = {"connection": "manual", "order_id": order.id}
    await asker.ask("order.accept", **asked)
    await consumer.has(order.id, *HELD, "order.problem")
    (problem,) = consumer.of_type("order.problem")
    assert problem.body["data"]["problem"]["code"] == "rejected"
    assert (await asker.ask("order.retry", **asked))["status"] == "queued"
    await consumer.has(order.id, *HELD, "order.problem", "order.accepted", "order.synced")
    await running.check(consumer)


async def test_one_order_is_fetched_by_its_id(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (old,) = running.place("manual", at=datetime.now(UTC) - timedelta(days=30))
    reply = await asker.ask("order.fetch", connection="manual", order_id=old.id)
    assert reply["status"] == "done"
    assert reply["order"]["state"] == "pending_manual"
    await consumer.has(old.id, *HELD)
    reply = await asker.ask("order.fetch", connection="manual", order_id="0000000000000000")
    assert reply["status"] == "refused"
    assert reply["error"]["code"] == "unknown_order"


async def test_a_connection_is_looked_at_now_or_from_a_date(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    day = datetime.now(UTC) - timedelta(days=20)
    (old,) = running.place("manual", at=day)
    since = (day - timedelta(days=1)).date().isoformat()
    assert (await asker.ask("connection.sync", connection="manual"))["status"] == "queued"
    reply = await asker.ask("connection.sync", connection="manual", since=since)
    assert reply["status"] == "queued"
    await consumer.has(old.id, *HELD)


async def test_a_disabled_connection_is_not_polled_and_refuses_until_activated(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = await waiting(running, consumer)
    assert (await asker.ask("connection.disable", connection="manual"))["status"] == "done"
    reply = await asker.ask("order.accept", connection="manual", order_id=order.id)
    assert reply["error"]["code"] == "connection_disabled"
    (late,) = running.place("manual")
    await looked_again(running, "other")  # what was under way is over
    before = looks_of(running, "manual")
    await looked_again(running, "other")
    assert looks_of(running, "manual") == before
    assert (await asker.ask("connection.activate", connection="manual"))["status"] == "done"
    await consumer.has(late.id, *HELD)
    reply = await asker.ask("order.accept", connection="manual", order_id=order.id)
    assert reply["status"] == "queued"
    await consumer.has(order.id, *HELD, "order.accepted")
    assert [m.type for m in consumer.messages if m.body["subject"] == "manual"] == [
        "connection.suspended",
        "connection.resumed",
    ]


def looks_of(system: System, account: str) -> int:
    """Calls of that account so far."""
    return sum(call.account == account for call in system.simulator.ledger.after(0))


async def looked_again(system: System, account: str) -> None:
    """Wait for two more looks at that account."""
    before = looks_of(system, account)

    async def looked() -> bool:
        return looks_of(system, account) >= before + 2

    await eventually(looked, 20)


async def test_a_waiting_order_is_decided_again_when_stock_comes(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = running.place("auto", lines=[catalog_line(VARIANT, 2)])
    await consumer.has(order.id, *HELD)
    reply = await asker.ask("catalog.upsert", catalog="shop", products=catalog_products(1))
    assert reply["status"] == "done"
    reply = await asker.ask("stock.set", catalog="shop", product_id=VARIANT.size_reference, stock=2)
    assert reply["status"] == "done"
    await consumer.has(order.id, *HELD, "order.accepted")
    await running.check(consumer)
    assert await product(running, "shop") == (2, 2)


async def test_the_stores_number_replaces_what_it_knows(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = await waiting(running, consumer)
    asked = {"connection": "manual", "order_id": order.id}
    await asker.ask("order.accept", **asked)
    await consumer.has(order.id, *HELD, "order.accepted", "order.synced")
    await asker.ask("stock.set", product_id=VARIANT.size_reference, stock=50)
    assert await product(running) == (50, 1), "the store does not know the order yet"
    await asker.ask("order.acknowledge", store_order_id="S-1", **asked)
    assert await product(running) == (50, 1), "acknowledging changes nothing by itself"
    await asker.ask("stock.set", product_id=VARIANT.size_reference, stock=49)
    assert await product(running) == (49, 0)
    stale = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    await asker.ask("stock.set", product_id=VARIANT.size_reference, stock=77, as_of=stale)
    assert await product(running) == (49, 0)
    await running.check(consumer)


async def test_an_acknowledged_order_is_synced_when_the_setting_says_so(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    await running.fill_catalogue(100, "shop")
    (order,) = running.place("auto", lines=[catalog_line(VARIANT, 1)])
    await consumer.has(order.id, "order.new", "order.accepted")
    await running.published()
    assert (await running.states())[order.id] == "accepted"
    asked = {"connection": "auto", "order_id": order.id}
    reply = await asker.ask("order.acknowledge", store_order_id="S-9", **asked)
    assert reply["order"]["state"] == "synced"
    await consumer.has(order.id, "order.new", "order.accepted", "order.synced")
    await running.check(consumer)


async def test_commands_for_one_order_are_carried_out_in_their_order(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    """Accept, then cancel, back to back: the marketplace ends where the last one wanted it."""
    orders = await waiting(running, consumer, 20)
    for order in orders:
        for command in ("order.accept", "order.cancel"):
            asked = {"connection": "manual", "order_id": order.id, "command": command}
            await asker.publish(json.dumps(asked).encode(), message_id=f"{command} {order.id}")
    await running.reaches({order.id: "cancelled" for order in orders})
    assert {order.status for order in orders} == {Status.CANCELLED}
    await running.check(consumer)
    assert await product(running) == (100, 0)
