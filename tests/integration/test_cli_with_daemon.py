"""The command line beside a running daemon: what is asked for happens, and is waited for."""

from datetime import UTC, datetime, timedelta

from adapters.spartoo.simulator.fault_kinds import HttpError
from tests.fixtures.cli import Cli
from tests.fixtures.system import System


async def test_sync_waits_for_what_the_look_finds(cli: Cli, running: System) -> None:
    (order,) = running.place("manual", kind="fine")
    ran = await cli("sync", "manual", "--json")
    assert (ran.status, ran.err) == (0, "")
    assert ran.json["status"] == "done"
    assert " read: " in ran.json["found"]
    listed = await cli("orders", "list", "--json", "--connection", "manual")
    assert [item["order_id"] for item in listed.json["items"]] == [order.id]
    assert "manual: " in (await cli("sync", "manual")).err


async def test_a_backfill_reads_what_is_older_than_the_looks(cli: Cli, running: System) -> None:
    placed = datetime.now(UTC) - timedelta(days=40)
    (order,) = running.place("manual", kind="fine", at=placed)
    since = (placed - timedelta(days=1)).date()
    ran = await cli("sync", "manual", "--since", since, "--json")
    assert (ran.status, ran.json["look"], ran.json["status"]) == (0, "backfill", "done")
    assert order.id in await running.states()


async def test_a_failed_look_is_status_1(cli: Cli, running: System) -> None:
    running.misbehave(HttpError(kind="http_error", status=503, account="manual"))
    ran = await cli("sync", "manual", "--json")
    assert (ran.status, ran.error["code"]) == (1, "look_failed")
    assert "503" in ran.error["message"]


async def test_an_order_accepted_here_is_accepted_there(cli: Cli, running: System) -> None:
    (order,) = running.place("manual", kind="fine")
    await running.reaches({order.id: "pending_manual"})
    ran = await cli("orders", "accept", order.id)
    assert (ran.status, "no daemon" in ran.err) == (0, False)
    await running.reaches({order.id: "synced"})
    shown = (await cli("orders", "show", order.id, "--json")).json
    assert [move["to"] for move in shown["history"]] == [
        "new",
        "pending_manual",
        "accepted",
        "synced",
    ]
    assert shown["touched_by"].startswith("cli:")
    assert shown["spartoo_status"] == 2
    await running.check()


async def test_fetch_answers_once_spartoo_has(cli: Cli, running: System) -> None:
    old = datetime.now(UTC) - timedelta(days=40)
    (order,) = running.place("manual", kind="fine", at=old)
    ran = await cli("orders", "fetch", "manual", order.id, "--json")
    assert (ran.status, ran.json["status"]) == (0, "done")
    assert ran.json["order"]["order_id"] == order.id
    unknown = await cli("orders", "fetch", "manual", "F" * 16, "--json")
    assert (unknown.status, unknown.error["code"]) == (1, "unknown_order")
