"""SIGHUP: the settings are read again; connections and logging change without a restart."""

import asyncio
import signal
from collections.abc import Callable, Sequence

import structlog

from adapters.postgres.errors import PostgresError
from daemon.backoff import backoff
from daemon.declared import apply_declared
from daemon.logs import configure_logging
from daemon.settings import Settings, SettingsError
from daemon.supervisor import Work
from daemon.systemd import ServiceManager
from daemon.wiring import Parts
from statemachine.facts import Refused

log = structlog.get_logger(__name__)

_AT_ONCE = {"connections", "log_format", "log_level"}


class Reload:
    """Waits for SIGHUP from its making on; what is asked before the daemon works is done then.

    What is wrong changes nothing; what only the database keeps from being applied is applied later.
    """

    def __init__(self, read: Callable[[], Settings]):
        self._read = read
        self._asked = asyncio.Event()
        self._waiting: Settings | None = None  # for the database
        self._failures = 0
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)

    def work(self, parts: Parts, manager: ServiceManager) -> Work:
        """The task that reloads whenever it is asked."""

        async def run(stop: asyncio.Event) -> None:
            while await self._next(stop):
                manager.reloading()
                try:
                    await self._reload(parts)
                except Exception:  # what nobody foresaw must not end a daemon at work
                    log.exception("not reloaded: the old settings hold")
                finally:
                    manager.reloaded()

        return run

    async def _next(self, stop: asyncio.Event) -> bool:
        """Wait until asked, or until it is time to try again; False when stopping first."""
        waits = [asyncio.create_task(event.wait()) for event in (self._asked, stop)]
        seconds = backoff(self._failures, cap=15).total_seconds() if self._waiting else None
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return not stop.is_set()

    async def _reload(self, parts: Parts) -> None:
        settings, self._waiting = self._waiting, None
        try:
            if self._asked.is_set() or settings is None:
                self._asked.clear()
                self._failures = 0
                settings = self._read()
            changed = await apply_declared(parts, settings.connections, parts.clock())
        except SettingsError as error:
            _tell_wrong(error.faults)
        except Refused as error:
            _tell_wrong([error.message])
        except PostgresError as error:
            self._failures += 1
            self._waiting = settings
            log.warning("reload waits for the database", error=str(error))
        else:
            configure_logging(settings.log_format, settings.log_level)
            later = sorted(_differing(parts.settings, settings) - _AT_ONCE)
            log.info("reloaded", connections=changed, only_after_restart=later)


def _tell_wrong(faults: Sequence[str]) -> None:
    log.warning("not reloaded: the old settings hold", faults=faults)


def _differing(old: Settings, new: Settings) -> set[str]:
    return {key for key in Settings.model_fields if getattr(old, key) != getattr(new, key)}
