"""Spartoo misbehaves: what is transient goes on by itself, what is not waits for a person."""

from collections import Counter
from itertools import chain, product

from pydantic import TypeAdapter

from adapters.spartoo.simulator.fault_kinds import AnsweredCode, AnyFault, Latency
from adapters.spartoo.simulator.orders import Status
from tests.fixtures.checks import acceptances
from tests.fixtures.koongo import Asker, Consumer, asking
from tests.fixtures.postgres import eventually
from tests.fixtures.system import ACCOUNTS, System

HELD = ["order.new", "order.pending_manual"]
ACCEPTED = ["order.new", "order.accepted", "order.synced"]
SPARE = ACCOUNTS[-8:]
EXPORT, CHANGE = "xml_export_orders", "xml_maj_orders"
FAULT: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)

LOST: dict[str, dict[str, object]] = {
    "html": {"kind": "html"},
    "empty": {"kind": "empty"},
    "http_503": {"kind": "http_error", "status": 503},
    "drop": {"kind": "drop"},
}
TRANSIENT = LOST | {
    "cut off": {"kind": "cut_off"},
    "dropped in the body": {"kind": "cut_off", "drop": True},
}
LABELS = Counter({"bad_xml": 3, "connection": 2, "http_503": 1})  # html, empty and cut off: no XML


async def test_looks_that_fail_are_made_again(system: System, consumer: Consumer) -> None:
    orders = {}
    for account, fault in zip(SPARE, TRANSIENT.values(), strict=False):
        system.connect(account)
        orders[account] = system.place(account, 3)
        scope = {"service": EXPORT, "account": account, "count": 2}
        system.misbehave(FAULT.validate_python(fault | scope))
    daemon = await system.run()
    for order in chain(*orders.values()):
        await consumer.has(order.id, *HELD)
    await system.check(consumer)
    for code, accounts in LABELS.items():
        calls = await daemon.metric("spartoo_calls_total", service=EXPORT, code=code)
        assert calls == 2 * accounts, code
    failed = daemon.logs("look not finished")
    assert {record["connection"] for record in failed} == orders.keys()
    assert all(record["error"].startswith("xml_export_orders.php") for record in failed)


async def test_acceptances_whose_answer_is_lost_are_made_once(
    system: System, consumer: Consumer
) -> None:
    """Whether the call took effect or not: the order is read before it is tried again."""
    await system.fill_catalogue(1000)
    orders = []
    for account, (fault, after_change) in zip(
        SPARE, product(LOST.values(), (False, True)), strict=True
    ):
        system.connect(account, auto_accept=True)
        orders += system.place(account, 5, kind="fine")
        scope = {"service": CHANGE, "account": account, "count": 5, "after_change": after_change}
        system.misbehave(FAULT.validate_python(fault | scope))
    await system.run()
    for order in orders:
        await consumer.has(order.id, *ACCEPTED)
    await system.check(consumer)
    assert acceptances(system.simulator) == {order.id for order in orders}


async def test_refused_accounts_are_suspended_until_a_person_acts(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    daemon = running.daemons[0]
    refused = {"manual": (-2, "bad_key"), "auto": (-428, "deactivated")}
    for account, (code, reason) in refused.items():
        running.misbehave(AnsweredCode(kind="code", code=code, account=account))
        await consumer.has(account, "connection.suspended")
        event = consumer.of_type("connection.suspended")[-1]
        assert event.routing_key == f"connection.suspended.{account}"
        assert event.body["data"]["connection"] == account
        assert event.body["data"]["reason"] == reason

    async def shown() -> bool:
        return await daemon.metric("connection_suspended") == 2

    await eventually(shown, 90)
    assert await daemon.metric("connection_suspended", connection="other") == 0
    for account, (code, _) in refused.items():
        failed = [r for r in daemon.logs("look not finished") if r["connection"] == account]
        assert str(code) in failed[0]["error"]
    (elsewhere,) = running.place("other")
    waiting = [running.place(account)[0] for account in refused]
    await consumer.has(elsewhere.id, *HELD)
    assert not {order.id for order in waiting} & (await running.states()).keys()
    running.simulator.faults.clear()
    for account, order in zip(refused, waiting, strict=True):
        assert (await asker.ask("connection.activate", connection=account))["status"] == "done"
        await consumer.has(account, "connection.suspended", "connection.resumed")
        await consumer.has(order.id, *HELD)
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
    ledger = system.simulator.ledger.after(0)
    calls = [c.at for c in ledger if (c.account, c.service) == ("manual", EXPORT)]
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
    assert running.amqp_url is not None
    async with asking(running.amqp_url) as asker:
        running.misbehave(
            Latency(kind="latency", service=EXPORT, account="manual", seconds=3, count=2)
        )
        running.simulator.world.set_status(order, Status.CANCELLED)
        reply = await asker.ask("order.accept", connection="manual", order_id=order.id)
        assert reply["status"] == "queued"
    await consumer.has(order.id, *HELD, "order.cancelled")
    await running.check(consumer)
    assert not acceptances(running.simulator)
