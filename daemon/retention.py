"""Erases customers some time after their orders ended, and deletes logs of the same age.

In small pieces, each a short transaction by index, with pauses between them: several replicas may
share the work, and nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic

import structlog

from adapters.postgres import privacy
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import PostgresError
from adapters.postgres.privacy import Pruned
from daemon.supervisor import wait_or_stop
from daemon.transactions import in_transaction

log = structlog.get_logger(__name__)

ORDERS = 50  # erased in a transaction
SHARE = 0.2  # of the time, at most, that is worked
ROUND_SECONDS = 600.0

Piece = Callable[[Tx, int, datetime], Awaitable[Pruned]]


class Retention:
    """Works through what is too old, round after round; `days` None keeps everything."""

    def __init__(self, database: Database, days: int | None, clock: Callable[[], datetime]):
        self._database = database
        self._age = timedelta(days=days) if days else None
        self._clock = clock
        self._after: dict[str, int] = {}  # of each log nothing up to here is left
        self._pieces: dict[str, Piece] = {
            "orders": self._erase,
            "events": privacy.prune_events,
            "communications": privacy.prune_communications,
            "commands": privacy.prune_commands,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, through every outage of the database."""
        while not stop.is_set():
            try:
                await self.round(stop)
            except PostgresError as error:
                log.warning("retention put off", error=str(error))
            except Exception:  # what nobody foresaw stays, the daemon goes on
                log.exception("retention failed")
            await wait_or_stop(stop, ROUND_SECONDS)

    async def round(self, stop: asyncio.Event) -> dict[str, int]:
        """Everything that is too old now; how many orders were erased and rows deleted."""
        done: dict[str, int] = {}
        if self._age is None:
            async with self._database.connection() as conn:
                await privacy.prune_calls(conn)
            return done
        before = self._clock() - self._age
        async with self._database.connection() as conn:
            await privacy.prune_small(conn, before)
        for name, piece in self._pieces.items():
            done[name] = await self._all(name, piece, before, stop)
        if any(done.values()):
            log.info("erased what is too old", **done, before=before)
        return done

    async def _all(self, name: str, piece: Piece, before: datetime, stop: asyncio.Event) -> int:
        """Piece after piece, until one finds nothing.

        What is younger than its neighbours is passed over and looked at again in the next round.
        """
        done, kept, after = 0, None, self._after.get(name, 0)
        while not stop.is_set():
            started = monotonic()

            async def prune(tx: Tx, after: int = after) -> Pruned:
                return await piece(tx, after, before)

            pruned = await in_transaction(self._database, prune)
            if not pruned.rows:
                break
            done, after = done + pruned.rows, pruned.last
            kept = pruned.kept if kept is None else kept
            self._after[name] = after if kept is None else kept - 1
            await wait_or_stop(stop, (monotonic() - started) * (1 / SHARE - 1))
        return done

    async def _erase(self, tx: Tx, _after: int, before: datetime) -> Pruned:
        keys = await privacy.due(tx, before, ORDERS)
        await privacy.erase(tx, keys, self._clock())
        return Pruned(len(keys), 0)
