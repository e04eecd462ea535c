"""Returns from the customer's request to the refund, decided here or in the back office."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.spartoo.simulator.fault_kinds import (
    AnsweredCode,
    DroppedConnection,
    HttpError,
    Latency,
    UnreadableOrder,
)
from adapters.spartoo.simulator.orders import SimulatedOrder
from adapters.spartoo.simulator.returns import ReturnStatus, ReturnWishes, SimulatedReturn
from tests.fixtures.checks import CHANGE_RETURN
from tests.fixtures.cli import Cli
from tests.fixtures.koongo import Asker, Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

EXPORT_RETURNS = "xml_export_returns"
REQUESTED = "return.requested"
PDF = b"%PDF-1.4\n%%EOF\n"


@pytest.fixture
async def running(system: System, consumer: Consumer) -> System:
    """A daemon that looks for returns every second."""
    system.connect("manual", open_look_interval=1)
    await system.run()
    return system


@pytest.fixture
async def order(running: System) -> SimulatedOrder:
    return running.place("manual")[0]


def come_back(
    system: System, order: SimulatedOrder, status: ReturnStatus = ReturnStatus.REQUESTED
) -> SimulatedReturn:
    """The customer wants to send an item back."""
    return system.simulator.world.create_return(order, ReturnWishes(status=status))


def changes(system: System) -> list[dict[str, str]]:
    """The fields of every change of a return that reached Spartoo, keys left out."""
    return [
        {k: v for k, v in call.fields if k != "partenaire"}
        for call in system.simulator.ledger.after(0)
        if call.service == CHANGE_RETURN
    ]


async def ask(asker: Asker, what: str, returned: SimulatedReturn, **fields: Any) -> dict[str, Any]:
    return await asker.ask(f"return.{what}", connection="manual", return_id=returned.id, **fields)


async def test_a_return_is_told_accepted_and_followed_to_the_refund(
    running: System, consumer: Consumer, asker: Asker, order: SimulatedOrder
) -> None:
    returned = come_back(running, order)
    await consumer.has(returned.id, REQUESTED)
    (message,) = consumer.of_type(REQUESTED)
    assert message.routing_key == "return.requested.manual"
    data = message.body["data"]["return"]
    assert (data["order_id"], data["reason"], data["spartoo_status"]) == (order.id, "trop petit", 2)
    assert data["item"]["reference"] == returned.line.reference
    reply = await ask(asker, "accept", returned)
    assert (reply["status"], reply["return"]["return_id"]) == ("queued", returned.id)
    await consumer.has(returned.id, REQUESTED, "return.accepted")
    assert returned.status is ReturnStatus.ACCEPTED
    returned.status = ReturnStatus.REFUNDED  # paid and refunded between two looks
    ways = (REQUESTED, "return.accepted", "return.paid", "return.refunded")
    await consumer.has(returned.id, *ways)
    reply = await ask(asker, "refuse", returned)
    assert reply["error"]["code"] == "wrong_state"
    assert "refunded" in reply["error"]["message"]
    await running.check(consumer)


async def test_a_return_is_refused_and_accepted_in_the_back_office(
    running: System, consumer: Consumer, asker: Asker, order: SimulatedOrder
) -> None:
    returned = come_back(running, order)
    await consumer.has(returned.id, REQUESTED)
    assert (await ask(asker, "refuse", returned))["status"] == "queued"
    await consumer.has(returned.id, REQUESTED, "return.refused")
    returned.status = ReturnStatus.ACCEPTED
    await consumer.has(returned.id, REQUESTED, "return.refused", "return.accepted")
    await running.check(consumer)


async def test_returns_from_before_sync_from_are_left_alone(
    system: System, consumer: Consumer
) -> None:
    now = datetime.now(UTC)
    since = (now - timedelta(days=3)).date().isoformat()
    system.connect("manual", open_look_interval=1, sync_from=since)
    (order,) = system.place("manual", at=now - timedelta(days=2))
    ask_back = system.simulator.world.create_return
    old = ask_back(order, ReturnWishes(), now - timedelta(days=5))
    new = ask_back(order, ReturnWishes(), now - timedelta(days=1))
    await system.run()
    await consumer.has(new.id, REQUESTED)
    rows = await system.rows("select return_id from returns")
    assert [row["return_id"] for row in rows] == [new.id]
    assert not consumer.types(old.id)


async def test_labels_by_link_and_by_file(
    running: System, consumer: Consumer, asker: Asker, order: SimulatedOrder
) -> None:
    by_link, by_file = come_back(running, order), come_back(running, order)
    for returned in (by_link, by_file):
        await consumer.has(returned.id, REQUESTED)
    link = "https://labels.example/1.pdf"
    assert (await ask(asker, "label", by_link, label_link=link))["status"] == "queued"
    file = b64encode(PDF).decode()
    assert (await ask(asker, "label", by_file, label_file=file))["status"] == "queued"

    async def labelled() -> bool:
        return (by_link.label_link, by_file.label_file) == (link, PDF)

    await eventually(labelled)

    async def settled() -> bool:
        return bool((await ask(asker, "label", by_file, label_file=file))["status"] == "done")

    await eventually(settled)
    assert len(changes(running)) == 2
    assert not await running.rows("select from return_labels")
    kept = await running.rows("select body::text from commands where command = 'return.label'")
    assert not any(file in row["body"] for row in kept)
    reply = await ask(asker, "accept", by_link)
    assert reply["return"]["label_link"] == link
    await running.check(consumer)


async def test_bad_commands_are_refused_and_nothing_is_sent(
    running: System, consumer: Consumer, asker: Asker, order: SimulatedOrder
) -> None:
    returned = come_back(running, order, ReturnStatus.PAID)
    await consumer.has(returned.id, REQUESTED, "return.accepted", "return.paid")
    file = b64encode(PDF).decode()
    bad: list[tuple[str, dict[str, Any], str]] = [
        ("return.accept", {"return_id": "0"}, "unknown_return"),
        ("return.accept", {"connection": "nobody"}, "unknown_connection"),
        ("return.accept", {}, "wrong_state"),
        ("return.label", {"label_link": "https://labels.example/1"}, "wrong_state"),
        ("return.label", {}, "bad_command"),
        ("return.label", {"label_link": "no link"}, "bad_command"),
        ("return.label", {"label_file": b64encode(b"GIF89a").decode()}, "bad_command"),
        ("return.label", {"label_file": "%%%"}, "bad_command"),
        ("return.label", {"label_link": "https://a.example/", "label_file": file}, "bad_command"),
        ("return.label", {"label_file": "A" * 1_100_000}, "payload_too_large"),
        ("return.accept", {"return_id": ""}, "bad_command"),
    ]
    for command, fields, code in bad:
        asked = {"connection": "manual", "return_id": returned.id} | fields
        reply = await asker.ask(command, **asked)
        assert (reply["status"], reply["error"]["code"]) == ("refused", code), (command, fields)
    assert changes(running) == []
    await running.check(consumer)


async def test_an_answer_that_is_lost_is_not_asked_for_twice(
    running: System, consumer: Consumer, asker: Asker, order: SimulatedOrder
) -> None:
    """The acceptance arrives, its answer does not: the return is read before anything else."""
    returned = come_back(running, order)
    await consumer.has(returned.id, REQUESTED)
    lost = DroppedConnection(kind="drop", service=CHANGE_RETURN, after_change=True, count=1)
    running.misbehave(lost)
    await ask(asker, "accept", returned)
    await consumer.has(returned.id, REQUESTED, "return.accepted")
    await running.check(consumer)
    assert len(changes(running)) == 1


async def test_crossing_decisions_settle_on_what_spartoo_says(
    running: System, consumer: Consumer, asker: Asker, order: SimulatedOrder
) -> None:
    """Accepted in the back office while it is refused here, before the next look."""
    returned = come_back(running, order)
    await consumer.has(returned.id, REQUESTED)
    running.misbehave(Latency(kind="latency", service=EXPORT_RETURNS, seconds=4, count=2))
    returned.status = ReturnStatus.ACCEPTED
    await ask(asker, "refuse", returned)
    await consumer.has(returned.id, REQUESTED, "return.accepted")

    async def troubled() -> bool:
        rows = await running.rows("select problem::text from returns where problem is not null")
        return any("too late to refuse" in row["problem"] for row in rows)

    await eventually(troubled)
    await running.check(consumer)


async def test_trouble_with_returns_holds_no_order_up(
    running: System, consumer: Consumer, order: SimulatedOrder
) -> None:
    running.misbehave(HttpError(kind="http_error", status=503, service=EXPORT_RETURNS))
    await consumer.has(order.id, "order.new", "order.pending_manual")
    order.status = type(order.status).CANCELLED
    await consumer.has(order.id, "order.new", "order.pending_manual", "order.cancelled")

    async def told() -> bool:
        return running.daemons[0].logged("returns not read", connection="manual")

    await eventually(told)
    await running.check(consumer)


async def test_an_unreadable_return_is_kept_apart_and_read_once_it_can_be(
    running: System, consumer: Consumer, order: SimulatedOrder
) -> None:
    bad, good = come_back(running, order), come_back(running, order)
    fault = UnreadableOrder(
        kind="unreadable_order", service=EXPORT_RETURNS, return_id=bad.id, what="bad_date", count=3
    )
    running.misbehave(fault)

    async def kept_apart() -> bool:
        rows = await running.rows("select error from quarantine where order_id = $1", key)
        return any("return_date" in row["error"] for row in rows)

    key = f"return-{bad.id}"
    await eventually(kept_apart)
    third = come_back(running, order)
    for returned in (good, third, bad):
        await consumer.has(returned.id, REQUESTED)
    assert not await running.rows("select from quarantine")
    await running.check(consumer)


async def test_a_label_file_that_does_not_arrive_is_tried_once_more(
    running: System, consumer: Consumer, asker: Asker, order: SimulatedOrder
) -> None:
    returned = come_back(running, order)
    await consumer.has(returned.id, REQUESTED)
    running.misbehave(AnsweredCode(kind="code", code=-22, service=CHANGE_RETURN, count=2))
    await ask(asker, "label", returned, label_file=b64encode(PDF).decode())

    async def given_up() -> bool:
        rows = await running.rows("select problem::text from returns where problem is not null")
        return any("-22" in row["problem"] for row in rows)

    await eventually(given_up, 20)
    assert len(changes(running)) == 2
    await ask(asker, "label", returned, label_file=b64encode(PDF).decode())

    async def labelled() -> bool:
        return returned.label_file == PDF

    await eventually(labelled)
    await running.check(consumer)


async def test_what_was_asked_for_before_a_crash_is_done_after_it(
    running: System,
    consumer: Consumer,
    order: SimulatedOrder,
    bare_cli: Cli,
    tmp_path: Path,
) -> None:
    """A label given on the command line while no daemon runs is sent by the next one."""
    returned = come_back(running, order)
    await consumer.has(returned.id, REQUESTED)
    await running.daemons[0].kill()
    label = tmp_path / "label.pdf"
    label.write_bytes(PDF)
    config = ["--config", str(running.settings())]
    for arguments in (["label", returned.id, "--file", label], ["accept", returned.id]):
        ran = await bare_cli("returns", *arguments, *config)
        assert (ran.status, "Spartoo is told next" in ran.err) == (0, True)
    assert not returned.label_file
    await running.run()
    await consumer.has(returned.id, REQUESTED, "return.accepted")
    assert returned.label_file == PDF
    await running.check(consumer)
