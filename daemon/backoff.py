"""Capped exponential back-off with jitter."""

import random
from datetime import timedelta

_GOOD_SECONDS = 60.0


def backoff(failures: int, *, first: float = 1.0, cap: float = 300.0) -> timedelta:
    """Time to wait after so many failures in a row (1, 2, 3 …): half of it is chance."""
    whole = min(cap, first * 2 ** min(failures - 1, 30))
    return timedelta(seconds=whole * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load only


def failures_in_a_row(before: int, worked_seconds: float) -> int:
    """One more failure after `before`; the first again when all went well for a minute."""
    return 1 if worked_seconds >= _GOOD_SECONDS else before + 1
