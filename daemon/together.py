"""Group commit: what is asked for while earlier work is under way is done in one go after it.

When idle each is done at once and alone; under load the database sees few, larger transactions.
What is done in one go is done in nobody's context: it has a trace of its own, linked to those of
the callers.
"""

import asyncio
import contextvars
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from adapters.postgres.errors import DatabaseUnavailable
from adapters.trace import traceparent
from daemon.tracing import shared_span

MOST = 64  # in one go

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


class _Asked(Generic[Item, Result]):
    def __init__(self, item: Item, subject: Hashable):
        self.item = item
        self.subject = subject
        self.trace = traceparent.get()
        self.answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()


class Together(Generic[Key, Item, Result]):
    """Gathers items by key; `work(key, items)` gives a result for each, or keeps none of them.

    Where it fails for several, each is done alone, so that a bad one fails alone; only with the
    database away all fail at once. `span` names the work in traces, where its subjects are orders.
    """

    def __init__(
        self,
        work: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Result]]],
        span: str | None = None,
    ):
        self._work = work
        self._span = span
        self._context = contextvars.copy_context()
        self._waiting: defaultdict[Key, list[_Asked[Item, Result]]] = defaultdict(list)
        self._running: dict[Key, asyncio.Task[None]] = {}

    async def do(self, key: Key, item: Item, subject: Hashable = None) -> Result:
        """The item's result; two of one subject are never done in one go, but in their order."""
        asked = _Asked[Item, Result](item, object() if subject is None else subject)
        self._waiting[key].append(asked)
        if key not in self._running:
            self._running[key] = asyncio.create_task(
                self._run(key), name=f"together {key}", context=self._context.copy()
            )
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
            await self._answer(key, batch)
        finally:  # whatever happens, nobody waits for ever
            for asked in batch:
                asked.answer.cancel()

    async def _answer(self, key: Key, batch: Sequence[_Asked[Item, Result]]) -> None:
        try:
            results = await self._results(key, batch)
        except Exception as error:  # noqa: BLE001 - raised again where the item was given
            if len(batch) > 1 and not isinstance(error, DatabaseUnavailable):
                for asked in batch:
                    await self._do(key, [asked])
                return
            _fail(batch, error)
            return
        if len(results) != len(batch):  # it may be done: never again
            given = f"{len(results)} results for {len(batch)} items of {key}"
            _fail(batch, RuntimeError(f"{given}: whose each is cannot be known"))
            return
        for asked, result in zip(batch, results, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(result)

    async def _results(self, key: Key, batch: Sequence[_Asked[Item, Result]]) -> Sequence[Result]:
        items = [asked.item for asked in batch]
        if self._span is None:
            return await self._work(key, items)
        with shared_span(self._span, {asked.subject: asked.trace for asked in batch}):
            return await self._work(key, items)


def _fail(batch: Sequence[_Asked[Item, Result]], error: Exception) -> None:
    for asked in batch:
        if not asked.answer.done():
            asked.answer.set_exception(error)
