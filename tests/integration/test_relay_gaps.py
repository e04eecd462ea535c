"""Positions that a transaction took and gave up: the relay goes on behind them, and past them."""

import asyncio
from collections.abc import Sequence

from adapters.ports import LoggedEvent
from adapters.postgres.database import Database
from adapters.postgres.events import append, relay_position
from daemon.clock import utc_now
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.relay import Relay
from statemachine.changes import Event, EventType
from tests.fixtures.postgres import eventually, may_stand_idle


class Recorder:
    """A publisher that takes everything and remembers it."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    async def publish(self, events: Sequence[LoggedEvent]) -> list[str | None]:
        self.positions += [event.position for event in events]
        return [None for _ in events]


def event(subject: str) -> Event:
    return Event(EventType.STOCK_CHANGED, "/spartoo/catalog/default", subject, utc_now(), {})


async def test_a_gap_that_closes_last_moves_the_stored_position(db: Database) -> None:
    recorder, holdings, stop = Recorder(), Holdings(db, Metrics()), asyncio.Event()
    relay = Relay(db, recorder, holdings, Metrics(), utc_now)
    running = [asyncio.create_task(holdings.run()), asyncio.create_task(relay.run(stop))]

    async def later_one_published() -> bool:
        return recorder.positions == [2]

    async def all_stored() -> bool:
        async with db.connection() as conn:
            return await relay_position(conn) == 2

    try:
        async with db.connection() as conn:
            slow = conn.transaction()
            await slow.start()
            await may_stand_idle(conn)
            await append(conn, [event("given up")])
            async with db.transaction() as tx:
                await append(tx, [event("kept")])
            await eventually(later_one_published)
            assert not await all_stored()
            await slow.rollback()
        await eventually(all_stored)
        assert recorder.positions == [2]
    finally:
        stop.set()
        running[0].cancel()
        await asyncio.gather(*running, return_exceptions=True)
