"""Work at the database: done again when another process was first, or once it is available."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import Conflict, PostgresError, SchemaNewer, UnusableUrl
from daemon.backoff import backoff

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_TRIES = 5


async def in_transaction(database: Database, work: Callable[[Tx], Awaitable[Result]]) -> Result:
    """Run `work` in a transaction; after a Conflict in a new one, a few times.

    `work` keeps nothing outside its transaction. Raises Conflict, DatabaseUnavailable.
    """
    for _ in range(_TRIES - 1):
        try:
            async with database.transaction() as tx:
                return await work(tx)
        except Conflict:
            continue
    async with database.transaction() as tx:
        return await work(tx)


async def once_available(
    attempt: Callable[[], Awaitable[Result]], on_wait: Callable[[str], None] = lambda _: None
) -> Result:
    """What the attempt gives, made again and again while the database is in trouble.

    `on_wait` is told why. Raises SchemaNewer and UnusableUrl: no waiting mends these.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except (SchemaNewer, UnusableUrl):
            raise
        except PostgresError as error:
            on_wait(str(error))
            failures += 1
            delay = backoff(failures, first=0.5, cap=10).total_seconds()
            log.warning("database not available", error=str(error), seconds=round(delay, 1))
            await asyncio.sleep(delay)
