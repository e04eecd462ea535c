"""What is available here is what the marketplace offers: through faults, replicas and restarts."""

from pathlib import Path

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from adapters.spartoo.simulator.fault_kinds import AnsweredCode, HttpError
from adapters.spartoo.simulator.orders import Status
from adapters.spartoo.simulator.stock import Level
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

SERVICE = "xml_maj_stock_batch"
VARIANT = VARIANTS["98_38"]


def shelf(system: System, account: str = "auto") -> dict[str, Level]:
    """What the marketplace offers."""
    return system.simulator.world.account(account).shelf.levels


async def offers(system: System, size: str, units: int, account: str = "auto") -> None:
    """Wait until the marketplace offers so many."""

    async def offered() -> bool:
        return shelf(system, account)[size].quantity == units

    try:
        await eventually(offered, 20)
    except TimeoutError:
        found = shelf(system, account)[size].quantity
        raise AssertionError(f"{size}: {found} offered, expected {units}") from None


def calls(system: System) -> int:
    return sum(call.service == SERVICE for call in system.simulator.ledger.after(0))


async def test_orders_and_the_store_move_what_spartoo_offers(offline: System) -> None:
    offline.connect("auto", auto_accept=True, push_stock=True)
    offline.connect("manual")
    await offline.fill_catalogue(50)
    daemon = await offline.run()
    for size in VARIANTS:
        await offers(offline, size, 50)
    assert calls(offline) == 1, "a catalogue that is new is one batch"
    (order,) = offline.place("auto", lines=[catalog_line(VARIANT, 3)])
    await offers(offline, "98_38", 47)
    await offline.reaches({order.id: "synced"})
    offline.simulator.world.set_status(order, Status.CANCELLED)
    await offers(offline, "98_38", 50)
    await offline.fill_catalogue(49)
    for size in VARIANTS:
        await offers(offline, size, 49)
    assert shelf(offline, "manual")["98_38"].told == 0, "not where push_stock is off"

    async def nothing_waits() -> bool:
        return await daemon.metric("actions_pending", action="push_stock") == 0

    await eventually(nothing_waits, 90)
    await offline.check()


async def test_stock_only_connections_push_too(offline: System) -> None:
    offline.connect("auto", sync_level="stock_only", push_stock=True)
    await offline.fill_catalogue(50)
    await offline.run()
    offline.place("auto", lines=[catalog_line(VARIANT, 2)], status=Status.IN_PREPARATION)
    await offers(offline, "98_38", 48)


async def test_faults_are_outlived_and_refusals_shown(offline: System, cli: Cli) -> None:
    offline.connect("auto", auto_accept=True, push_stock=True, throttle_backoff=1)
    await offline.fill_catalogue(50)
    shelf(offline)["99_40"].retired = True
    offline.misbehave(HttpError(kind="http_error", service=SERVICE, status=503, count=2))
    offline.misbehave(AnsweredCode(kind="code", service=SERVICE, code=-429, count=1))
    await offline.run()
    await offers(offline, "98_38", 50)

    async def refused() -> bool:
        (item,) = (await cli("catalog", "show", "99_40", "--json")).json["items"]
        return any("-20" in str(push["error"]) for push in item["pushes"])

    await eventually(refused, 20)
    (fine,) = (await cli("catalog", "show", "98_38", "--json")).json["items"]
    assert (fine["pushes"][0]["sent"], fine["pushes"][0]["error"]) == (50, None)


async def test_two_replicas_and_a_crash_leave_the_last_number(offline: System) -> None:
    offline.connect("auto", auto_accept=True, push_stock=True)
    await offline.fill_catalogue(50)
    first, _ = await offline.run(), await offline.run()
    orders = offline.place("auto", 20, lines=[catalog_line(VARIANT, 1)])
    await offers(offline, "98_38", 30)
    await first.kill()
    orders += offline.place("auto", 20, lines=[catalog_line(VARIANT, 1)])
    await offers(offline, "98_38", 10)
    await offline.reaches({order.id: "synced" for order in orders})
    await offline.check()


async def test_reconciliation_puts_right_what_somebody_changed_there(
    offline: System, cli: Cli
) -> None:
    offline.connect("auto", push_stock=True)
    await offline.fill_catalogue(50)
    await offline.run()
    await offers(offline, "98_38", 50)
    shelf(offline)["98_38"].quantity = 7
    assert (await cli("catalog", "push", "auto")).status == 0
    await offers(offline, "98_38", 50)


async def test_slip_and_communications_beside_a_running_daemon(
    offline: System, cli: Cli, tmp_path: Path
) -> None:
    once = {"poll_interval": 3600, "open_look_interval": 3600}
    offline.connect("auto", auto_accept=True, **once)
    await offline.fill_catalogue(50)
    (order,) = offline.place("auto", lines=[catalog_line(VARIANT, 1)])
    await offline.run()
    await offline.reaches({order.id: "synced"})
    for name in ("one.pdf", "two.pdf"):
        ran = await cli("orders", "slip", order.id, "--output", tmp_path / name)
        assert ran.status == 0, ran.err
        assert (tmp_path / name).read_bytes().startswith(b"%PDF")
    slips = [c for c in offline.simulator.ledger.after(0) if c.service == "xml_export_bl"]
    assert len(slips) == 1
    shown = await cli("orders", "show", order.id, "--json")
    told = [(c["kind"], c["name"]) for c in shown.json["communications"]]
    assert told[0] == ("call", "xml_export_orders")
    assert told[-1] == ("call", "xml_export_bl")
    assert told.count(("call", "xml_maj_orders")) == 1
    for event in ("order.new", "order.accepted", "order.synced", "stock.changed"):
        assert ("event", event) in told
