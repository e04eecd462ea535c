"""This machine's clock against others': polling windows and leases depend on it."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from adapters.spartoo.sites import base_url
from daemon.clock import utc_now
from daemon.doctor.finding import Finding, Status, ok
from statemachine.connection import ConnectionSettings

CLOCK = "clock"
_SECOND = timedelta(seconds=1)  # an HTTP date has no fractions
_NOTABLE, _HARMFUL = timedelta(seconds=5), timedelta(minutes=5)


def compared(whose: str, theirs: datetime, before: datetime, after: datetime) -> Finding:
    """Their time, read between two moments of ours."""
    off = max(before - theirs, theirs - after, timedelta(0))
    if off < _NOTABLE:
        return ok(CLOCK, f"within {max(off, _SECOND).total_seconds():.0f} s of {whose}")
    ahead = "ahead of" if theirs < before else "behind"
    status = Status.FAILED if off > _HARMFUL else Status.WARNING
    message = f"{off.total_seconds():.0f} s {ahead} {whose}"
    return Finding(CLOCK, status, message, "synchronize this machine's clock (NTP, timedatectl)")


async def check_marketplace_clock(
    session: aiohttp.ClientSession, connections: Iterable[ConnectionSettings]
) -> AsyncIterator[Finding]:
    """The Date of each site's HTTP server; no web service is called."""
    for url in sorted({c.base_url or base_url(c.site) for c in connections}):
        asked_at = utc_now()
        try:
            async with session.head(url, allow_redirects=False) as response:
                date = response.headers.get("Date", "")
        except aiohttp.ClientError:
            continue  # the test of its connections tells why
        try:
            theirs = parsedate_to_datetime(date).astimezone(UTC)
        except ValueError:
            continue
        yield compared(url, theirs, asked_at - _SECOND, utc_now())
