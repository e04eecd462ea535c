"""What a service manager is told over its socket (sd_notify), and the watchdog it keeps."""

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from time import monotonic_ns
from typing import Self

import structlog

from daemon.readiness import Readiness
from daemon.supervisor import wait_or_stop

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
_STARTING_SECONDS = 0.5
_EXTENSION_SECONDS = 30


class ServiceManager:
    """systemd where it started us with Type=notify; elsewhere nobody is told anything."""

    def __init__(self, address: str = "", watchdog: float = 0.0):
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.every = min(EVERY_SECONDS, watchdog / 3) if watchdog else EVERY_SECONDS
        self.there = bool(address)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """As the variables of the service say; the watchdog only where it is meant for us."""
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        seconds = int(environ.get("WATCHDOG_USEC", "0")) / 1e6 if ours else 0.0
        return cls(environ.get("NOTIFY_SOCKET", ""), seconds)

    def tell(self, *assignments: str) -> None:
        """Send these in one message; one that cannot be sent is logged."""
        if not self.there:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.connect(self._address)
                channel.send("\n".join(assignments).encode())
        except OSError as error:
            log.warning("service manager not told", told=assignments[0], error=str(error))

    def reloading(self) -> None:
        """From here until `reloaded` the settings are being read again."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """The settings hold, the new ones or still the old."""
        self.tell("READY=1")

    async def inform(self, readiness: Readiness, stop: asyncio.Event) -> None:
        """A start takes as long as the database is away; from then on the watchdog is fed.

        Only a daemon whose work stands still goes hungry: to wait for database or broker is work.
        """
        ready = False
        try:
            while not stop.is_set():
                status = "; ".join(await readiness.missing()) or "ready"
                self.tell(
                    f"STATUS={status}".replace("\n", " "), *self._state(readiness, ready=ready)
                )
                ready = readiness.working
                await wait_or_stop(stop, self.every if ready else _STARTING_SECONDS)
        finally:
            self.tell("STOPPING=1", "STATUS=finishing what is in hand")

    def _state(self, readiness: Readiness, *, ready: bool) -> Iterator[str]:
        if not readiness.working:
            yield f"EXTEND_TIMEOUT_USEC={_EXTENSION_SECONDS * 10**6}"
            return
        if not ready:
            yield "READY=1"
        if readiness.turning():
            yield "WATCHDOG=1"
