"""What /readyz answers, and how HTTP handlers reach the daemon's parts once they are there."""

import asyncio

from aiohttp import web

from adapters.postgres import migrate
from adapters.postgres.errors import PostgresError, SchemaNewer
from daemon.broker import BrokerLink
from daemon.holdings import Holdings
from daemon.settings import Settings
from daemon.wiring import Parts

_NAMED = 5  # connections whose keys cannot be opened


class Readiness:
    """Everything the daemon's work needs, or what of it is missing."""

    def __init__(self, settings: Settings, stop: asyncio.Event):
        self.settings = settings
        self.stop = stop  # set when the daemon stops: what streams ends then
        self.parts: Parts | None = None
        self.link: BrokerLink | None = None
        self.holdings: Holdings | None = None
        self._waits_for = "not reached yet"

    def waits(self, reason: str) -> None:
        """The database cannot be opened yet."""
        self._waits_for = reason

    @property
    def working(self) -> bool:
        """True from the moment on when the schema is current and the tasks run, broker or not."""
        return self.holdings is not None

    def turning(self) -> bool:
        """False when the daemon's work stands still: a restart is then its only remedy."""
        return self.holdings is None or self.holdings.turning

    async def missing(self) -> list[str]:
        """One phrase for each thing that is missing; empty when ready."""
        if self.parts is None:
            return [f"database: {self._waits_for}"]
        lacking = []
        try:
            async with asyncio.timeout(2), self.parts.database.connection() as conn:
                await migrate.check(conn)
        except SchemaNewer:  # upgraded while we run: each schema also serves the version before
            pass
        except (PostgresError, TimeoutError) as error:
            lacking.append(f"database: {str(error) or 'no answer in time'}")
        if unreadable := self.parts.accounts.unreadable:
            names = ", ".join(sorted(unreadable)[:_NAMED])
            lacking.append(f"secret key: cannot open the API keys of {names}")
        if self.settings.amqp_url is not None and (self.link is None or not self.link.connected):
            lacking.append("broker: not connected")
        return lacking


READINESS = web.AppKey("readiness", Readiness)
