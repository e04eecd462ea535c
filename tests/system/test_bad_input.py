"""What nobody can read or may ask for: kept, explained, and in nobody's way."""

import json

import pytest

from adapters.spartoo.simulator.fault_kinds import UnreadableOrder
from tests.fixtures.koongo import Asker, Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

HELD = ["order.new", "order.pending_manual"]
KNOWN_COMMANDS = (
    "order.accept",
    "order.refuse",
    "order.cancel",
    "order.retry",
    "order.acknowledge",
    "order.fetch",
    "connection.sync",
    "connection.activate",
    "connection.disable",
    "catalog.upsert",
    "stock.set",
)


def command(**fields: object) -> bytes:
    return json.dumps(fields).encode()


UNREADABLE = {
    "not JSON": (
        b'{"command": ',
        "bad_command: not JSON: Expecting value: line 1 column 13 (char 12)",
    ),
    "not UTF-8": (
        b'{"id": "\xe9"}',
        (
            "bad_command: not JSON: 'utf-8' codec can't decode byte 0xe9 in position 8:"
            " invalid continuation byte"
        ),
    ),
    "not an object": (b"[1, 2]", "bad_command: not a JSON object"),
    "wrong type": (
        command(id="1", command="order.accept", connection="manual", order_id=17),
        "bad_command: order_id: must be text",
    ),
    "missing field": (
        command(id="1", command="order.accept", connection="manual"),
        "bad_command: order_id: must be given",
    ),
    "no id": (
        command(id="", command="connection.sync", connection="manual"),
        "bad_command: id: must not be empty",
    ),
    "half a character": (
        rb'{"id": "\ud800", "command": "order.fetch", "connection": "manual", "order_id": "1"}',
        "bad_command: id: must be text that UTF-8 can hold",
    ),
    "bad product": (
        command(id="1", command="catalog.upsert", products=[{"id": "98_38", "stock": -1}]),
        (
            "bad_command: products: product 1: stock = -1: must be a whole number of units,"
            " 0 to 2147483647"
        ),
    ),
}


async def test_what_cannot_be_read_is_kept_with_its_error_and_refused(asker: Asker) -> None:
    for name, (body, error) in UNREADABLE.items():
        reply = await asker.answer(await asker.publish(body))
        code, _, message = error.partition(": ")
        assert reply["status"] == "refused", name
        assert reply["error"] == {"code": code, "message": message}, name
        assert await asker.dead_letter() == (error, body), name


async def test_an_unknown_command_names_those_there_are(asker: Asker) -> None:
    body = command(id="1", command="order.destroy", order_id="X")
    reply = await asker.answer(await asker.publish(body))
    error, kept = await asker.dead_letter()
    assert kept == body
    assert reply["id"] == "1"
    assert error == f"bad_command: {reply['error']['message']}"
    for known in KNOWN_COMMANDS:
        assert known in error


async def test_a_command_of_five_megabytes_is_refused_and_kept(asker: Asker) -> None:
    body = command(id="1", command="stock.set", product_id="x" * 5_000_000, stock=1)
    reply = await asker.answer(await asker.publish(body, message_id="big"))
    error, kept = await asker.dead_letter()
    assert reply["id"] == "big"
    assert reply["error"]["code"] == "payload_too_large"
    assert error == f"payload_too_large: {len(body)} bytes; a command has at most 1048576"
    assert kept == body


async def test_refusals_go_to_the_asker_else_to_the_dead_letters(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = running.place("manual")
    await consumer.has(order.id, *HELD)
    refused = {
        "unknown_order": ("manual", "NONE"),
        "unknown_connection": ("nowhere", order.id),
        "wrong_state": ("manual", order.id),
    }
    for code, (connection, order_id) in refused.items():
        asked = {"connection": connection, "order_id": order_id, "store_order_id": "S-1"}
        reply = await asker.ask("order.acknowledge", **asked)
        assert (reply["status"], reply["error"]["code"]) == ("refused", code)
        await asker.tell("order.acknowledge", **asked)
        error, _ = await asker.dead_letter()
        assert error == f"{code}: {reply['error']['message']}"
    assert error == (
        f"wrong_state: order {order.id} is pending_manual: it cannot be acknowledged;"
        " possible: accept, refuse, cancel"
    )
    assert await running.daemons[0].metric("commands_total", status="refused") == 6


async def test_bad_commands_do_not_hold_up_good_ones(
    running: System, consumer: Consumer, asker: Asker
) -> None:
    (order,) = running.place("manual")
    await consumer.has(order.id, *HELD)
    bad = [b"nonsense %d" % number for number in range(50)]
    for body in bad:
        await asker.publish(body, reply=False)
    reply = await asker.ask("order.refuse", connection="manual", order_id=order.id)
    assert reply["status"] == "queued"
    assert [(await asker.dead_letter())[1] for _ in bad] == bad
    await consumer.has(order.id, *HELD, "order.cancelled")


@pytest.mark.parametrize("what", ["bad_quantity", "bad_date"])
async def test_an_unreadable_order_waits_in_quarantine_until_it_can_be_read(
    system: System, consumer: Consumer, what: str
) -> None:
    system.connect("manual")
    before, bad, after = system.place("manual", 3)
    system.misbehave(spoilt(bad.id, what))
    await system.run()
    for order in (before, after):
        await consumer.has(order.id, *HELD)
    await consumer.has(bad.id, "order.quarantined")
    quarantine = consumer.of_type("order.quarantined")[0].body["data"]["quarantine"]
    assert (quarantine["connection"], quarantine["order_id"]) == ("manual", bad.id)
    assert ("deux" if what == "bad_quantity" else "0000-00-00") in quarantine["error"]
    system.simulator.faults.clear()
    await consumer.has(bad.id, "order.quarantined", *HELD)
    assert not await system.rows("select * from quarantine")
    await system.check(consumer)


async def test_an_order_without_id_is_quarantined_under_a_name_of_its_own(
    system: System, consumer: Consumer
) -> None:
    system.connect("manual")
    bad, good = system.place("manual", 2)
    system.misbehave(spoilt(bad.id, "no_id"))
    daemon = await system.run()
    await consumer.has(good.id, *HELD)
    (row,) = await system.rows("select order_id from quarantine")
    assert row["order_id"].startswith("unreadable-")
    await consumer.has(row["order_id"], "order.quarantined")

    async def counted() -> bool:
        return await daemon.metric("quarantined_orders", connection="manual") == 1

    await eventually(counted, 90)
    system.simulator.faults.clear()
    await consumer.has(bad.id, *HELD)
    await system.check(consumer)


def spoilt(order_id: str, what: str) -> UnreadableOrder:
    return UnreadableOrder.model_validate(
        {"kind": "unreadable_order", "what": what, "order_id": order_id}
    )
