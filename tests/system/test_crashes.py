"""Killed, stopped and doubled daemons: nothing is lost, nothing reaches Spartoo twice."""

import asyncio
import json
from functools import partial

import pytest

from adapters.spartoo.simulator.fault_kinds import Latency, TimeOut
from tests.fixtures.checks import acceptances
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.koongo import Asker, Consumer, asking
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

ACCEPTED = ["order.new", "order.accepted", "order.synced"]
CHANGE = "xml_maj_orders"


async def accepted(system: System, count: int) -> None:
    """Wait until so many acceptances have reached Spartoo."""

    async def enough() -> bool:
        return len(acceptances(system.simulator)) >= count

    await eventually(enough, 30)


def slow_and_unreliable(system: System) -> None:
    """Answers come late, and a third of them never, half of those after the change was made."""
    lost = {"service": CHANGE, "seconds": 0.5}
    system.misbehave(Latency(kind="latency", service=CHANGE, seconds=0.1, jitter=0.3))
    system.misbehave(TimeOut(kind="timeout", probability=0.2, after_change=True, **lost))
    system.misbehave(TimeOut(kind="timeout", probability=0.2, **lost))


async def test_killed_again_and_again_while_it_accepts(system: System, consumer: Consumer) -> None:
    system.connect("auto", auto_accept=True)
    await system.fill_catalogue(1000)
    slow_and_unreliable(system)
    orders = system.place("auto", 60, kind="fine")
    for crash in range(1, 4):
        daemon = await system.launch()
        await accepted(system, crash * 12)
        await daemon.kill()
    await system.run()
    await system.reaches({order.id: "synced" for order in orders}, 60)
    await system.check(consumer)
    assert acceptances(system.simulator) == {order.id for order in orders}
    for order in orders:
        assert consumer.types(order.id) == ACCEPTED


async def test_killed_while_events_flow_and_orders_arrive(
    system: System, consumer: Consumer
) -> None:
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    await system.fill_catalogue(100_000)
    for crash in range(3):
        system.place("auto", 150, kind="fine")
        system.place("manual", 50)
        daemon = await system.launch()
        before = len(consumer.messages)

        async def flowing(before: int = before) -> bool:
            return len(consumer.messages) > before + 20

        await eventually(flowing, 30)
        await daemon.kill()
        assert daemon.process.returncode == -9, crash
    await system.run()
    orders = system.simulator.world.orders.values()
    wanted = {o.id: "synced" if o.account == "auto" else "pending_manual" for o in orders}
    await system.reaches(wanted, 60)
    await system.check(consumer)


async def test_sigterm_under_load_leaves_in_time_and_loses_nothing(
    system: System, consumer: Consumer
) -> None:
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    await system.fill_catalogue(100_000)
    system.misbehave(Latency(kind="latency", seconds=0.2, jitter=0.3))
    auto = system.place("auto", 150, kind="fine")
    manual = system.place("manual", 60, kind="fine")
    daemon = await system.run()
    await system.reaches({order.id: "pending_manual" for order in manual})
    assert system.amqp_url is not None
    async with asking(system.amqp_url) as asker:
        for order in manual:
            fields = {"command": "order.accept", "connection": "manual", "order_id": order.id}
            await asker.publish(json.dumps(fields | {"id": order.id}).encode(), reply=False)
    await accepted(system, 5)
    assert await daemon.terminate() == 0
    assert daemon.logs("stopped")
    assert not daemon.logs("tasks cancelled")
    reached = acceptances(system.simulator)
    assert len(reached) < len(auto) + len(manual), "nothing was left to do: no load"
    assert all(state != "pending_manual" for state in await decided(system, reached))
    await system.run()
    await system.reaches({order.id: "synced" for order in auto + manual}, 60)
    await system.check(consumer)


async def decided(system: System, order_ids: set[str]) -> list[str]:
    states = await system.states()
    return [states[order_id] for order_id in order_ids]


async def test_a_second_signal_leaves_at_once(system: System) -> None:
    system.connect("auto", auto_accept=True)
    await system.fill_catalogue(1000)
    system.misbehave(Latency(kind="latency", service=CHANGE, seconds=20))
    system.place("auto", 5, kind="fine")
    daemon = await system.run()

    async def under_way() -> bool:
        rows = await system.rows("select from actions where holder is not null")
        return bool(rows)

    await eventually(under_way, 20)
    daemon.process.terminate()
    await eventually(lambda: has_logged(daemon, "stopping"), 5)
    daemon.process.terminate()
    assert await daemon.ended(3) == 1


async def has_logged(daemon: Daemon, event: str) -> bool:
    return bool(daemon.logs(event))


@pytest.mark.parametrize("killed", ["leader", "follower"])
async def test_two_daemons_share_the_work_and_one_is_killed(
    system: System, consumer: Consumer, killed: str
) -> None:
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    await system.fill_catalogue(100_000)
    slow_and_unreliable(system)
    daemons = [await system.run(), await system.run()]
    leader, follower = await asyncio.gather(*map(leads, daemons))
    assert (leader, follower) == (True, False)
    orders = system.place("auto", 80, kind="fine")
    waiting = system.place("manual", 20)
    await accepted(system, 15)
    await daemons[0 if killed == "leader" else 1].kill()
    survivor = daemons[1 if killed == "leader" else 0]
    late = system.place("auto", 20, kind="fine")
    wanted = {order.id: "synced" for order in [*orders, *late]}
    await system.reaches(wanted | {order.id: "pending_manual" for order in waiting}, 60)
    assert await leads(survivor)
    await system.check(consumer)
    assert await survivor.terminate() == 0


async def test_a_frozen_daemon_wakes_up_and_does_nothing_twice(
    system: System, consumer: Consumer
) -> None:
    """What it had in hand was taken over; it must notice before it sends."""
    system.connect("auto", auto_accept=True)
    await system.fill_catalogue(100_000)
    frozen, other = await system.run(), await system.run()
    system.misbehave(Latency(kind="latency", service=CHANGE, seconds=0.1, jitter=0.2))
    orders = system.place("auto", 150, kind="fine")
    await accepted(system, 20)
    frozen.freeze()
    await system.reaches({order.id: "synced" for order in orders}, 60)
    assert await leads(other)
    late = system.place("auto", 20, kind="fine")
    frozen.thaw()
    await system.reaches({order.id: "synced" for order in late}, 60)
    await frozen.wait_ready()
    await system.check(consumer)
    assert [await frozen.terminate(), await other.terminate()] == [0, 0]


async def test_commands_are_answered_although_the_daemon_is_killed(
    system: System, consumer: Consumer
) -> None:
    system.connect("manual")
    await system.fill_catalogue(100_000)
    orders = system.place("manual", 120, kind="fine")
    daemon = await system.run()
    await system.reaches({order.id: "pending_manual" for order in orders})
    assert system.amqp_url is not None
    async with asking(system.amqp_url) as asker:
        asked = []
        for order in orders:
            fields = {"command": "order.accept", "connection": "manual", "order_id": order.id}
            body = json.dumps(fields | {"id": f"accept {order.id}"}).encode()
            asked += [await asker.publish(body), await asker.publish(body)]
        for answered in (30, 90):
            await eventually(partial(replies, asker, answered), 30)
            await daemon.kill()
            daemon = await system.run()
        await eventually(partial(replies, asker, len(asked)), 30)
    told = [reply["status"] for replies in asker.replies.values() for reply in replies]
    assert set(told) == {"queued"}
    await system.reaches({order.id: "synced" for order in orders}, 60)
    await system.check(consumer)


async def replies(asker: Asker, count: int) -> bool:
    return len(asker.replies) >= count


async def leads(daemon: Daemon) -> bool:
    return await daemon.metric("leader", role="relay") == 1
