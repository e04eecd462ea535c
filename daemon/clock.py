"""The clock of the process: the database's, carried on by a counter that nobody sets.

Due times and readings are compared among replicas, and with what the database calls now. A machine
whose clock is wrong or jumps would otherwise put its work off by as much, or think news stale.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Self

import structlog

from adapters.postgres import clock
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError, translated
from daemon.supervisor import wait_or_stop

log = structlog.get_logger(__name__)

_CHECK_SECONDS = 30.0
_TOLERANCE = timedelta(seconds=0.5)
_WORTH_TELLING = timedelta(seconds=5)


def utc_now() -> datetime:
    """What this machine's clock says."""
    return datetime.now(UTC)


class Clock:
    """Call it for the time; between two looks at the database's clock it only counts on."""

    def __init__(self, database: Database, moment: datetime):
        self._database = database
        self._behind = False  # set back, and what is due not brought back yet
        self._set(moment)

    @classmethod
    async def of(cls, database: Database) -> Self:
        """The database's time. Raises PostgresError: this machine's may be anything."""
        made = cls(database, utc_now())
        moved = await made._follow()
        if abs(moved) > _WORTH_TELLING:
            seconds = round(-moved.total_seconds(), 1)
            log.warning("this machine's clock differs from the database's", seconds=seconds)
        return made

    def __call__(self) -> datetime:
        return self._moment + timedelta(seconds=counter() - self._set_at)

    async def run(self, stop: asyncio.Event, hold: timedelta) -> None:
        """Check the database's clock now and then: a fail-over may bring another one.

        `hold` is how long a role, look or action is held for at a time.
        """
        while not await wait_or_stop(stop, _CHECK_SECONDS):
            moved = await self.check()
            if moved:
                log.warning("clock set by the database", seconds=round(moved.total_seconds(), 1))
            if moved < -_TOLERANCE or self._behind:
                await self._come_back(hold)

    async def _come_back(self, hold: timedelta) -> None:
        """Set back: nothing may wait until the clock is again where it was."""
        self._behind = True
        try:
            async with self._database.connection() as conn:
                await clock.come_back(conn, hold)
        except PostgresError as error:
            log.warning("due times not brought back", error=str(error))
        else:
            self._behind = False
            log.warning("due times brought back")
            self._database.wakeups.notify("looks")

    async def check(self) -> timedelta:
        """Follow the database's clock where it is apart, and can be asked; by how much."""
        try:
            return await self._follow()
        except PostgresError:
            return timedelta()

    async def _follow(self) -> timedelta:
        asked = counter()
        with translated():
            async with asyncio.timeout(5), self._database.connection() as conn:
                moment = await clock.now(conn)
        moved = moment - self()
        if abs(moved) <= _TOLERANCE + timedelta(seconds=counter() - asked):
            return timedelta()
        self._set(moment)
        return moved

    def _set(self, moment: datetime) -> None:
        self._moment, self._set_at = moment, counter()


def counter() -> float:
    """Seconds since some moment, those of a suspended machine included where it can be known."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)
