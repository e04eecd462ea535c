"""Group commit: what is asked for while earlier work is under way is done in one go after it.

When idle each is done at once and alone; under load the database sees few, larger transactions.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from adapters.postgres.errors import DatabaseUnavailable

MOST = 64  # in one go

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


class _Asked(Generic[Item, Result]):
    def __init__(self, item: Item, subject: Hashable):
        self.item = item
        self.subject = subject
        self.answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()


class Together(Generic[Key, Item, Result]):
    """Gathers items by key; `work(key, items)` gives a result for each, or keeps none of them.

    Where it fails for several, each is done alone, so that a bad one fails alone; only with the
    database away all fail at once.
    """

    def __init__(self, work: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Result]]]):
        self._work = work
        self._waiting: defaultdict[Key, list[_Asked[Item, Result]]] = defaultdict(list)
        self._running: dict[Key, asyncio.Task[None]] = {}

    async def do(self, key: Key, item: Item, subject: Hashable = None) -> Result:
        """The item's result; two of one subject are never done in one go, but in their order."""
        asked = _Asked[Item, Result](item, object() if subject is None else subject)
        self._waiting[key].append(asked)
        if key not in self._running:
            self._running[key] = asyncio.create_task(self._run(key), name=f"together {key}")
        return await asked.answer

    async def _run(self, key: Key) -> None:
        try:
            while batch := self._next(key):
                await self._do(key, batch)
        finally:
            del self._running[key]
            for asked in self._waiting.pop(key):
                asked.answer.cancel()

    def _next(self, key: Key) -> list[_Asked[Item, Result]]:
        """The earliest of each subject that somebody still waits for."""
        batch: dict[Hashable, _Asked[Item, Result]] = {}
        later: list[_Asked[Item, Result]] = []
        for asked in self._waiting[key]:
            if asked.answer.done():
                continue
            if len(batch) < MOST and asked.subject not in batch:
                batch[asked.subject] = asked
            else:
                later.append(asked)
        self._waiting[key] = later
        return list(batch.values())

    async def _do(self, key: Key, batch: Sequence[_Asked[Item, Result]]) -> None:
        try:
            results = await self._work(key, [asked.item for asked in batch])
        except Exception as error:  # noqa: BLE001 - raised again where the item was given
            if len(batch) > 1 and not isinstance(error, DatabaseUnavailable):
                for asked in batch:
                    await self._do(key, [asked])
                return
            for asked in batch:
                if not asked.answer.done():
                    asked.answer.set_exception(error)
        else:
            for asked, result in zip(batch, results, strict=True):
                if not asked.answer.done():
                    asked.answer.set_result(result)
