"""Every replica is replaced, one after the other, while customers order and a clerk accepts."""

import logging
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.fixtures.checks import acceptances
from tests.fixtures.koongo import Consumer, asking
from tests.fixtures.system import System
from tests.fixtures.trade import trade

log = logging.getLogger(__name__)

WAITING = 60
EXPORT = "xml_export_orders"
LONGEST_GAP = timedelta(seconds=5)
KEPT = "select from looks where split_part(holder, '-', -2)::int = $1"


def longest_gap(system: System, account: str) -> timedelta:
    """The longest time this account's orders were not asked for, by the marketplace's ledger."""
    looks = [
        call.at
        for call in system.simulator.ledger.after(0)
        if (call.service, call.account, call.order_id) == (EXPORT, account, None)
    ]
    return max(later - earlier for earlier, later in pairwise(looks))


@pytest.mark.timeout(240)
async def test_a_rolling_restart_leaves_no_gap(
    system: System, consumer: Consumer, record_property: Callable[[str, object], None]
) -> None:
    accounts = ("auto", "manual", "other")
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    system.connect("other")
    await system.fill_catalogue(100_000)
    waiting = system.place("manual", WAITING, kind="fine")
    old = [await system.launch() for _ in range(3)]
    for daemon in old:
        await daemon.wait_ready()
    await system.reaches({order.id: "pending_manual" for order in waiting})
    assert system.amqp_url is not None
    async with asking(system.amqp_url) as asker, trade(system, asker, waiting) as placed:
        for daemon in old:
            assert await daemon.terminate() == 0
            kept = await system.rows(KEPT, daemon.process.pid)
            assert not kept, "its looks have to wait until its hold runs out"
            await system.run()
    wanted = {order.id: "synced" for order in [*placed, *waiting]}
    await system.reaches(wanted, 60)
    gaps = {account: longest_gap(system, account) for account in accounts}
    record_property("longest_gap_seconds", max(gaps.values()).total_seconds())
    log.info("longest gaps: %s", {account: str(gap) for account, gap in gaps.items()})
    assert max(gaps.values()) < LONGEST_GAP, gaps
    assert acceptances(system.simulator) == wanted.keys()
    await system.check(consumer)
