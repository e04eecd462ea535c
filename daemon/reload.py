"""SIGHUP: the settings are read again; connections and logging change without a restart."""

import asyncio
import signal
from collections.abc import Callable

import structlog

from adapters.postgres.errors import PostgresError
from adapters.registry import UnknownMarketplace
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
    """Waits for SIGHUP from its making on; what is asked before the daemon works is done then."""

    def __init__(self, read: Callable[[], Settings]):
        self._read = read
        self._asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)

    def work(self, parts: Parts, manager: ServiceManager) -> Work:
        """The task that reloads whenever it is asked."""

        async def run(stop: asyncio.Event) -> None:
            while await self._next(stop):
                manager.reloading()
                try:
                    await self._reload(parts)
                finally:
                    manager.reloaded()

        return run

    async def _next(self, stop: asyncio.Event) -> bool:
        """Wait until asked; False when stopping first."""
        waits = [asyncio.create_task(event.wait()) for event in (self._asked, stop)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._asked.clear()
        return not stop.is_set()

    async def _reload(self, parts: Parts) -> None:
        try:
            settings = self._read()
            configure_logging(settings.log_format, settings.log_level)
            changed = await apply_declared(parts, settings.connections, parts.clock())
        except SettingsError as error:
            log.warning("not reloaded: the old settings hold", faults=error.faults)
        except (Refused, UnknownMarketplace, PostgresError) as error:
            log.warning("not all connections applied: mend it and reload again", error=str(error))
        else:
            later = sorted(_differing(parts.settings, settings) - _AT_ONCE)
            log.info("reloaded", connections=changed, only_after_restart=later)


def _differing(old: Settings, new: Settings) -> set[str]:
    return {key for key in Settings.model_fields if getattr(old, key) != getattr(new, key)}
