"""Dates: which are allowed, and whether a reading is newer than a change."""

from datetime import date, datetime, timedelta
from typing import TypeVar

EARLIEST, LATEST = date(1970, 1, 1), date(2999, 12, 31)

_APART = timedelta(seconds=1)  # the clocks of two replicas, at most

D = TypeVar("D", bound=date)


def within(value: D | None) -> D | None:
    """The day or time itself. Raises ValueError where it lies on no day that is allowed."""
    if value is not None and not EARLIEST <= date(value.year, value.month, value.day) <= LATEST:
        raise ValueError(f"must lie between {EARLIEST} and {LATEST}")
    return value


def may_be_older(read_at: datetime, changed_at: datetime) -> bool:
    """True unless the reading was surely begun after the change, whichever clocks were asked."""
    return read_at < changed_at + _APART
