"""Three daemons on one database and broker; the one that leads is killed and frozen in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import pytest

from adapters.spartoo.simulator.fault_kinds import Latency
from adapters.spartoo.simulator.orders import SimulatedOrder
from daemon.holdings import ROLES
from tests.fixtures.checks import acceptances
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.koongo import Consumer, asking
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System
from tests.fixtures.trade import trade

TAKEN_OVER_SECONDS = 5
SEEN_SECONDS = TAKEN_OVER_SECONDS + 5  # one more look, decided and published, the machine busy
WAITING = 60
IN_A_STATEMENT = """
select a.pid from pg_stat_activity as a
join pg_locks as l using (pid)
where
    a.datname = current_database() and a.state = 'active' and a.wait_event_type = $1
    and l.relation = 'orders'::regclass and l.mode = 'RowExclusiveLock'
"""
HELD = ["order.new", "order.pending_manual"]


async def holders(system: System) -> dict[str, int]:
    """Role → process id of who has it now."""
    rows = await system.rows(
        "select role, split_part(holder, '-', -2)::int as pid from leases"
        " where expires_at > clock_timestamp() and holder is not null"
    )
    return {row["role"]: row["pid"] for row in rows}


async def relaying(system: System) -> Daemon:
    """Who has the relay, once every role is taken."""

    async def led() -> bool:
        return (await holders(system)).keys() == {*ROLES}

    await eventually(led)
    relay = (await holders(system))["relay"]
    (leader,) = (daemon for daemon in system.daemons if daemon.process.pid == relay)
    return leader


async def taken_over(system: System, gone: Daemon) -> None:
    """Wait until others have every role."""

    async def by_others() -> bool:
        now = await holders(system)
        return now.keys() == {*ROLES} and gone.process.pid not in now.values()

    await eventually(by_others, TAKEN_OVER_SECONDS)


@pytest.mark.timeout(240)
async def test_three_replicas_take_over_from_each_other(system: System, consumer: Consumer) -> None:
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    await system.fill_catalogue(100_000)
    system.misbehave(Latency(kind="latency", seconds=0.05, jitter=0.1))
    waiting = system.place("manual", WAITING, kind="fine")
    for daemon in [await system.launch() for _ in range(3)]:
        await daemon.wait_ready()
    await system.reaches({order.id: "pending_manual" for order in waiting})
    assert system.amqp_url is not None
    async with asking(system.amqp_url) as asker, trade(system, asker, waiting) as placed:
        for blow in ("kill", "freeze", "kill"):
            leader = await relaying(system)
            if blow == "kill":
                await leader.kill()
            else:
                leader.freeze()
            (sign,) = system.place("auto", 1, kind="fine")
            placed.append(sign)
            await taken_over(system, leader)
            await consumer.has(sign.id, "order.new", seconds=SEEN_SECONDS)
            if blow == "freeze":
                leader.thaw()
            else:
                await system.launch()
    auto = {order.id: ["order.new", "order.accepted", "order.synced"] for order in placed}
    asked = {order.id: [*HELD, "order.accepted", "order.synced"] for order in waiting}
    wanted = dict.fromkeys([*auto, *asked], "synced")
    await system.reaches(wanted, 60)
    await system.check(consumer)
    assert acceptances(system.simulator) == wanted.keys()
    assert {order_id: consumer.types(order_id) for order_id in wanted} == auto | asked
    left = [daemon for daemon in system.daemons if daemon.running]
    assert [await (await daemon.wait_ready()).terminate() for daemon in left] == [0, 0, 0]


async def accept(daemon: Daemon, order: SimulatedOrder) -> int:
    """A person accepts the order at this daemon; the status of the answer."""
    url = f"{await daemon.listening()}/api/v1/orders/{order.account}/{order.id}/accept"
    async with aiohttp.request("POST", url, json={}) as response:
        return response.status


@asynccontextmanager
async def locked(dsn: str, table: str) -> AsyncIterator[None]:
    """Nobody else can so much as name the table."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"lock table {table} in access exclusive mode")
            yield
    finally:
        await connection.close()


async def test_what_a_frozen_daemon_has_locked_is_free_within_seconds(offline: System) -> None:
    """It stands still between preparing a statement and executing it: not idle, never done."""
    offline.connect("manual")
    await offline.fill_catalogue(100)
    (order,) = offline.place("manual", 1, kind="fine")
    frozen, other = await offline.run(), await offline.run()
    await offline.reaches({order.id: "pending_manual"})

    async def in_a_statement(waiting_for: str) -> bool:
        return bool(await offline.rows(IN_A_STATEMENT, waiting_for))

    async with locked(offline.dsn, "stock_pushes"):
        asking = asyncio.create_task(accept(frozen, order))
        await eventually(lambda: in_a_statement("Lock"))
        frozen.freeze()
    await eventually(lambda: in_a_statement("Client"))
    async with asyncio.timeout(TAKEN_OVER_SECONDS):
        assert await accept(other, order) == 202
    await offline.reaches({order.id: "synced"})
    frozen.thaw()
    assert await asking == 503
    assert acceptances(offline.simulator) == {order.id}
    await frozen.wait_ready()
    await offline.check()
    assert [await frozen.terminate(), await other.terminate()] == [0, 0]
