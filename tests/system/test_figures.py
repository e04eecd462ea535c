"""How much memory, how many writes, how soon: figures, with bounds only a fault can pass."""

import logging
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from tests.fixtures.checks import acceptances
from tests.fixtures.koongo import Asker, Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

log = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024
HELD = ["order.new", "order.pending_manual"]
BOOKKEEPING = {"looks", "leases", "calls"}
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
    count = 100_000
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
    assert peak < 200


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
    await note_writes(offline)
    (row,) = await offline.rows("select epoch from looks where look = 'fresh'")
    await eventually(lambda: seen_unchanged(row["epoch"] + 3), 60)
    written = {row["name"] for row in await offline.rows("select name from written")}
    assert "looks" in written, "writes are not noted"
    assert written <= BOOKKEEPING


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
        await eventually(partial(has_acceptance, running, order.id), 5)
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
