"""Reads the event log in order, past no position that a transaction may still fill.

Positions are given out before they are committed: whoever goes on from the last one seen would
miss what commits late. Here a gap ends the reading until nothing that ran when it was seen still
runs; then it stays a gap.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic

from adapters.ports import LoggedEvent
from adapters.postgres import events
from adapters.postgres.database import Conn, Database

PATIENCE = 5.0  # seconds; transactions are short
GAP_SECONDS = 0.05  # gaps close within moments


class LogReader:
    """One reader; `position` is where it stands: all up to there has been given or never was."""

    def __init__(self, position: int):
        self.position = position
        self._settled_to: int | None = None  # gaps up to here stay
        self._seen: tuple[int, int] | None = None  # a position, and when its gaps are settled

    @property
    def waits(self) -> bool:
        """True while a gap holds the reading up."""
        return self._seen is not None

    async def read(self, conn: Conn, limit: int) -> Sequence[LoggedEvent]:
        """The next events; none at the end of the log, or before a gap that may still fill."""
        settled_to = await self._settle(conn)
        found = await events.after(conn, self.position, limit)
        given: list[LoggedEvent] = []
        for event in found:
            if event.position > max(self.position, settled_to) + 1:
                await self._wait_for(conn, found[-1].position)
                break
            given.append(event)
            self.position = event.position
        return given

    async def _settle(self, conn: Conn) -> int:
        """Before reading: what a transaction has filled that is over must be seen."""
        if self._settled_to is None:
            self._settled_to = await events.relay_position(conn)
        if self._seen is not None:
            position, until = self._seen
            if until <= await events.oldest_running(conn):
                self._settled_to, self._seen = position, None
        return self._settled_to

    async def _wait_for(self, conn: Conn, position: int) -> None:
        if self._seen is None:
            self._seen = position, await events.next_transaction(conn)


async def position_now(database: Database) -> int:
    """Where the log ends: what was committed before is at or before it, what comes is after it.

    It waits for what is under way; where that takes long, the relay's position will do.
    """
    async with database.connection() as conn:
        newest = await events.newest_position(conn)
        next_to_come = await events.next_transaction(conn)
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        async with database.connection() as conn:
            oldest_running = await events.oldest_running(conn)
        if next_to_come <= oldest_running:
            return newest
        await asyncio.sleep(GAP_SECONDS)
    async with database.connection() as conn:
        return await events.relay_position(conn)
