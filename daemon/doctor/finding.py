"""A finding, and the guard that makes one of whatever a check runs into."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from adapters.ports import BrokerUnavailable, MarketplaceError
from adapters.postgres.errors import PostgresError
from daemon.settings import SettingsError

log = structlog.get_logger(__name__)

_EXPECTED = (PostgresError, BrokerUnavailable, MarketplaceError, SettingsError, OSError)


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `remedy` says what to do about it."""

    check: str
    status: Status
    message: str
    remedy: str | None = None


def ok(check: str, message: str) -> Finding:
    return Finding(check, Status.OK, message)


def warning(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Status.WARNING, message, remedy)


def failed(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Status.FAILED, message, remedy)


Check = Callable[[], AsyncIterator[Finding]]


async def findings(name: str, check: Check, seconds: float) -> list[Finding]:
    """What the check found within the limit; that it did not end, or how it broke, is one too."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(seconds):
            async for finding in check():
                found.append(finding)  # noqa: PERF401 - what was found before an error is kept
    except TimeoutError:
        remedy = "see whether it is overloaded, or a firewall drops what is sent there"
        found.append(failed(name, f"no answer within {seconds:g} s", remedy))
    except _EXPECTED as error:
        found.append(failed(name, str(error) or type(error).__name__, "mend it, then look again"))
    except Exception as error:
        log.exception("check broke", check=name)
        found.append(failed(name, f"the check broke: {type(error).__name__}", "report this"))
    return found
