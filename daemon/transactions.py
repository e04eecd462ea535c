"""One transaction, done again when another process was first."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import Conflict

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
