"""How much memory, how many writes, how soon: figures, with bounds only a fault can pass."""

import asyncio
import logging
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from adapters.spartoo.simulator.fault_kinds import Latency
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from daemon.dispatcher import PER_CONNECTION
from tests.fixtures.checks import CHANGE_ORDER, acceptances
from tests.fixtures.koongo import Asker, Consumer, asking
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

log = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024
HELD = ["order.new", "order.pending_manual"]
BOOKKEEPING = {"looks", "leases", "processes", "calls"}
NOTING = """
create table written (name text primary key);
create function note() returns trigger language plpgsql as $$
begin
    insert into written values (tg_table_name) on conflict do nothing;
    return null;
end $$
"""
TABLES = """
select relname from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'written'
"""


@pytest.mark.timeout(300)
async def test_memory_does_not_grow_with_the_export(
    offline: System, record_property: Callable[[str, object], None]
) -> None:
    count = 50_000
    offline.connect("manual", poll_interval=3600, open_look_interval=3600)
    now = datetime.now(UTC)
    for number in range(count):
        offline.place("manual", at=now - timedelta(seconds=count - number) / 10)
    daemon = await offline.run()

    async def taken_in() -> bool:
        (row,) = await offline.rows("select summary from looks where look = 'fresh'")
        return bool(row["summary"])

    await eventually(taken_in, 240)
    (row,) = await offline.rows("select count(*) from orders where state = 'pending_manual'")
    assert row["count"] == count
    peak = daemon.peak_rss() // MEGABYTE
    record_property("peak_megabytes", peak)
    log.info("peak memory of the daemon: %s MB", peak)
    assert peak < 160, "the export alone is more than 60 MB"


async def test_unchanged_orders_are_not_written(offline: System) -> None:
    count = 10_000
    offline.connect("manual", open_look_interval=3600)
    offline.place("manual", count)
    await offline.run()

    async def seen_unchanged(times: int) -> bool:
        (row,) = await offline.rows("select summary, epoch from looks where look = 'fresh'")
        unchanged = f"{count} read: 0 new, 0 changed, {count} unchanged, 0 quarantined"
        return bool(row["epoch"] >= times and row["summary"] == unchanged)

    await eventually(lambda: seen_unchanged(3), 60)
    await eventually(lambda: counted(offline), 90)
    await offline.published(60)
    await note_writes(offline)
    (row,) = await offline.rows("select epoch from looks where look = 'fresh'")
    await eventually(lambda: seen_unchanged(row["epoch"] + 3), 60)
    written = {row["name"] for row in await offline.rows("select name from written")}
    assert "looks" in written, "writes are not noted"
    assert written <= BOOKKEEPING


async def counted(system: System) -> bool:
    """True once the gauges have taken in what the orders' first sight left them to count."""
    (row,) = await system.rows("select not exists (select from state_count_changes) as counted")
    return bool(row["counted"])


async def note_writes(system: System) -> None:
    """From now on `written` names every table written to; the server's counters tell late."""
    connection = await asyncpg.connect(system.dsn)
    try:
        await connection.execute(NOTING)
        for table in await connection.fetch(TABLES):
            await connection.execute(
                f"create trigger noted after insert or update or delete on {table['relname']}"
                " for each row execute function note()"
            )
    finally:
        await connection.close()


async def test_a_command_is_at_spartoo_within_moments(
    running: System,
    consumer: Consumer,
    asker: Asker,
    record_property: Callable[[str, object], None],
) -> None:
    orders = running.place("manual", 50, lines=[catalog_line(VARIANTS["98_38"], 1)])
    for order in orders:
        await consumer.has(order.id, *HELD)
    seconds = []
    for order in orders:
        asked_at = datetime.now(UTC)
        await asker.tell("order.accept", connection="manual", order_id=order.id)
        await eventually(partial(has_acceptance, running, order.id))
        seconds.append((accepted_at(running, order.id) - asked_at).total_seconds())
        await consumer.has(order.id, *HELD, "order.accepted", "order.synced")
    median = statistics.median(seconds)
    record_property("median_seconds", median)
    log.info("from command to call: median %.1f ms, most %.1f ms", *milliseconds(seconds))
    assert median < 1


def milliseconds(seconds: list[float]) -> tuple[float, float]:
    return statistics.median(seconds) * 1000, max(seconds) * 1000


async def has_acceptance(system: System, order_id: str) -> bool:
    return order_id in acceptances(system.simulator)


def accepted_at(system: System, order_id: str) -> datetime:
    (call,) = system.simulator.ledger.changes(order_id)
    return call.at


@pytest.mark.timeout(600)
async def test_a_burst_of_shipments_goes_as_fast_as_spartoo_answers(
    system: System, amqp_url: str, record_property: Callable[[str, object], None]
) -> None:
    """So many at once for each connection and no more; order per order what was asked last."""
    count, seconds, names = 1_000, 0.05, ("manual", "other")
    orders = []
    for name in names:
        system.connect(name, poll_interval=3600, open_look_interval=3600)
        orders += system.place(name, count // len(names), status=Status.IN_PREPARATION)
    daemon = await system.run()
    await count_reaches(system, "synced", count, 120)
    system.misbehave(Latency(kind="latency", seconds=seconds, service=CHANGE_ORDER))
    started = time.monotonic()
    corrected = [order for order in orders if order.number % 10 == 0]
    async with asking(amqp_url) as asker:
        for number, those in ((1, orders), (2, corrected)):
            for start in range(0, len(those), 500):
                await asyncio.gather(
                    *(ship(asker, order, number) for order in those[start : start + 500])
                )
    await count_reaches(system, "shipped", count, 300)
    took, least = time.monotonic() - started, count / len(names) * seconds / PER_CONNECTION
    peak = daemon.peak_rss() // MEGABYTE
    record_property("seconds", took)
    record_property("peak_megabytes", peak)
    log.info("%s shipped in %.0f s, %.0f s at least; peak %s MB", count, took, least, peak)
    await system.check()
    calls = [call for call in system.simulator.ledger.after(0) if call.service == CHANGE_ORDER]
    assert len(calls) == count
    for name in names:
        at = [call.at for call in calls if call.account == name]
        windows = [b - a for a, b in zip(at, at[PER_CONNECTION:], strict=False)]
        assert min(windows).total_seconds() > seconds * 0.9, "more at once than a connection may"
    recorded = {
        row["order_id"]: row["number"]
        for row in await system.rows(
            "select order_id, shipments -> 0 ->> 'tracking_number' as number from orders"
        )
    }
    assert recorded == {o.id: f"{2 if o.number % 10 == 0 else 1}-{o.id}" for o in orders}
    assert peak < 200


async def count_reaches(system: System, state: str, count: int, seconds: float) -> None:
    """Wait, asking little, until so many orders are in that state."""
    connection = await asyncpg.connect(system.dsn)

    async def reached() -> bool:
        found = await connection.fetchval("select count(*) from orders where state = $1", state)
        await asyncio.sleep(0.2)
        return bool(found == count)

    try:
        await eventually(reached, seconds)
    finally:
        await connection.close()


async def ship(asker: Asker, order: SimulatedOrder, number: int) -> None:
    fields = {"connection": order.account, "order_id": order.id, "shipping_service": "DPD"}
    await asker.tell("order.ship", tracking_number=f"{number}-{order.id}", **fields)
