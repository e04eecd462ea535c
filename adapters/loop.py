"""Long work beside an event loop that other connections need too."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

_SLICE = 0.005  # seconds
_SMALL = 1 << 14  # bytes that are read faster than a thread is asked

T = TypeVar("T")


class TimeSlice:
    """Work that goes on for long lets others run every few milliseconds."""

    def __init__(self) -> None:
        self._end = time.monotonic() + _SLICE

    def is_over(self) -> bool:
        """True when it is time to `rest`."""
        return time.monotonic() >= self._end

    async def rest(self) -> None:
        """Let everybody else run once."""
        await asyncio.sleep(0)
        self._end = time.monotonic() + _SLICE


async def read_aside(read: Callable[[bytes], T], data: bytes) -> T:
    """What `read` makes of the data, in a thread where there is much of it."""
    return read(data) if len(data) <= _SMALL else await asyncio.to_thread(read, data)
