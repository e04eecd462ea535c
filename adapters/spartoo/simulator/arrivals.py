"""When new orders are placed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from adapters.spartoo.simulator.config import Pattern


class Arrivals:
    """A stream of moments, `rate` a second from `start` on; the same seed spaces them alike."""

    def __init__(self, rate: float, pattern: Pattern, seed: int, start: datetime):
        self.rate = rate
        self.pattern = pattern
        self._rng = Random(seed)  # noqa: S311 - spacing, not secrets
        self._next = start + self._gap() if rate > 0 else None

    def due(self, now: datetime) -> Iterator[datetime]:
        """The moments up to `now` that were not taken before."""
        while self._next is not None and self._next <= now:
            moment = self._next
            self._next = moment + self._gap()
            yield moment

    def _gap(self) -> timedelta:
        mean = 1 / self.rate
        seconds = mean if self.pattern == "regular" else self._rng.expovariate(self.rate)
        return timedelta(seconds=max(seconds, 1e-6))
