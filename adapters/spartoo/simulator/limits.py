"""The limit on calls per account, web service and hour."""

from collections import defaultdict, deque
from datetime import datetime, timedelta

_HOUR = timedelta(hours=1)


class HourlyLimit:
    """At most `limit` calls in any hour; refused calls do not count. None: no limit."""

    def __init__(self, limit: int | None):
        self._limit = limit
        self._calls: defaultdict[tuple[str, str], deque[datetime]] = defaultdict(deque)

    def admit(self, account: str, service: str, now: datetime) -> bool:
        """Count a call, or say False: the last hour is full."""
        if self._limit is None:
            return True
        calls = self._calls[account, service]
        while calls and calls[0] <= now - _HOUR:
            calls.popleft()
        if len(calls) >= self._limit:
            return False
        calls.append(now)
        return True
