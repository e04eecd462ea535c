"""One step at a time behind its caller, who meanwhile prepares the next."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from daemon.supervisor import cancel


class Behind:
    """A block that ends when its last step has; what a step raises, the next `do` or the end does.

    Where the block itself fails, the step under way is finished first; it is cancelled with it.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def do(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a step once the one before has ended."""
        await self._ended()
        self._task = asyncio.create_task(step())

    async def _ended(self) -> None:
        if (task := self._task) is not None:
            await asyncio.wait([task])
            self._task = None
            task.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None or isinstance(error, Exception):
                await self._ended()
        finally:
            if self._task is not None:
                await cancel([self._task])
