"""Spartoo misbehaves: what is transient goes on by itself, what is not waits for a person."""

import pytest
from pydantic import TypeAdapter

from adapters.spartoo.simulator.fault_kinds import AnsweredCode, AnyFault, Latency
from adapters.spartoo.simulator.orders import Status
from tests.fixtures.checks import acceptances
from tests.fixtures.koongo import Asker, Consumer, asking
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

HELD = ["order.new", "order.pending_manual"]
ACCEPTED = ["order.new", "order.accepted", "order.synced"]
EXPORT, CHANGE = "xml_export_orders", "xml_maj_orders"
FAULT: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)

TRANSIENT = {
    "cut_off": ({"kind": "cut_off"}, "bad_xml"),
    "dropped in the body": ({"kind": "cut_off", "drop": True}, "connection"),
    "html": ({"kind": "html"}, "bad_xml"),
    "empty": ({"kind": "empty"}, "bad_xml"),
    "http_error": ({"kind": "http_error", "status": 503}, "http_503"),
    "drop": ({"kind": "drop"}, "connection"),
}


@pytest.mark.parametrize("name", TRANSIENT)
async def test_a_look_that_fails_is_made_again(
    system: System, consumer: Consumer, name: str
) -> None:
    fields, code = TRANSIENT[name]
    system.connect("manual")
    orders = system.place("manual", 3)
    system.misbehave(FAULT.validate_python({**fields, "service": EXPORT, "count": 2}))
    daemon = await system.run()
    for order in orders:
        await consumer.has(order.id, *HELD)
    await system.check(consumer)
    assert await daemon.metric("spartoo_calls_total", service=EXPORT, code=code) == 2
    failed = daemon.logs("look not finished")
    assert {record["connection"] for record in failed} == {"manual"}
    assert all(record["error"].startswith("xml_export_orders.php") for record in failed)


@pytest.mark.parametrize("name", ["html", "http_error", "drop", "empty"])
@pytest.mark.parametrize("after_change", [False, True])
async def test_an_acceptance_whose_answer_is_lost_is_made_once(
    system: System, consumer: Consumer, name: str, after_change: bool
) -> None:
    """Whether the call took effect or not: the order is read before it is tried again."""
    system.connect("auto", auto_accept=True)
    await system.fill_catalogue(100)
    orders = system.place("auto", 5, kind="fine")
    lost = {**TRANSIENT[name][0], "service": CHANGE, "count": 5, "after_change": after_change}
    system.misbehave(FAULT.validate_python(lost))
    await system.run()
    for order in orders:
        await consumer.has(order.id, *ACCEPTED)
    await system.check(consumer)
    assert acceptances(system.simulator) == {order.id for order in orders}


@pytest.mark.parametrize(
    ("code", "reason"), [(-2, "bad_key"), (-1, "bad_key"), (-428, "deactivated")]
)
async def test_an_account_that_is_refused_is_suspended_until_a_person_acts(
    running: System, consumer: Consumer, asker: Asker, code: int, reason: str
) -> None:
    daemon = running.daemons[0]
    running.misbehave(AnsweredCode(kind="code", code=code, account="manual"))
    await consumer.has("manual", "connection.suspended")
    (event,) = consumer.of_type("connection.suspended")
    assert event.body["data"]["connection"] == "manual"
    assert event.body["data"]["reason"] == reason
    assert event.routing_key == "connection.suspended.manual"

    async def shown() -> bool:
        return await daemon.metric("connection_suspended", connection="manual") == 1

    await eventually(shown, 15)
    assert await daemon.metric("connection_suspended", connection="other") == 0
    assert any(str(code) in record["error"] for record in daemon.logs("look not finished"))
    (elsewhere,) = running.place("other")
    (waiting,) = running.place("manual")
    await consumer.has(elsewhere.id, *HELD)
    assert waiting.id not in await running.states()
    running.simulator.faults.clear()
    assert (await asker.ask("connection.activate", connection="manual"))["status"] == "done"
    await consumer.has("manual", "connection.suspended", "connection.resumed")
    await consumer.has(waiting.id, *HELD)
    await running.check(consumer)


async def test_a_wrong_key_suspends_and_the_key_is_in_no_log(
    system: System, consumer: Consumer
) -> None:
    system.connect("manual", api_key="FEDCBA9876543210")
    daemon = await system.run()
    await consumer.has("manual", "connection.suspended")
    assert consumer.of_type("connection.suspended")[0].body["data"]["reason"] == "bad_key"
    assert "FEDCBA9876543210" not in daemon.output()
    assert "9876543210" not in str(consumer.messages)


async def test_a_throttled_service_rests_and_goes_on_by_itself(
    system: System, consumer: Consumer
) -> None:
    system.connect("manual", throttle_backoff=2)
    system.connect("other")
    system.misbehave(
        AnsweredCode(kind="code", code=-429, account="manual", service=EXPORT, count=1)
    )
    (order,) = system.place("manual")
    (elsewhere,) = system.place("other")
    daemon = await system.run()
    await consumer.has(elsewhere.id, *HELD)
    await consumer.has(order.id, *HELD)
    assert daemon.logs("look not finished")
    calls = [c.at for c in system.simulator.ledger.after(0) if c.account == "manual"]
    assert (calls[1] - calls[0]).total_seconds() > 1.5
    assert not consumer.types("manual"), "resting is no suspension"
    await system.check(consumer)


async def test_actions_wait_while_their_service_rests(system: System, consumer: Consumer) -> None:
    system.connect("auto", auto_accept=True, throttle_backoff=2)
    await system.fill_catalogue(100)
    system.misbehave(AnsweredCode(kind="code", code=-429, service=CHANGE, count=3))
    orders = system.place("auto", 10, kind="fine")
    await system.run()
    for order in orders:
        await consumer.has(order.id, *ACCEPTED)
    await system.check(consumer)


async def test_wrong_chronology_follows_the_facts(running: System, consumer: Consumer) -> None:
    """The customer cancels on Spartoo while a person accepts here."""
    (order,) = running.place("manual")
    await consumer.has(order.id, *HELD)
    running.misbehave(Latency(kind="latency", service=EXPORT, seconds=3, count=2))
    assert running.amqp_url is not None
    async with asking(running.amqp_url) as asker:
        running.simulator.world.set_status(order, Status.CANCELLED)
        reply = await asker.ask("order.accept", connection="manual", order_id=order.id)
        assert reply["status"] == "queued"
    await consumer.has(order.id, *HELD, "order.cancelled")
    await running.check(consumer)
    assert not acceptances(running.simulator)
