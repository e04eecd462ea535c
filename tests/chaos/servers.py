"""Database server and daemons that are killed and come back."""

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapters.postgres.embedded import EmbeddedPostgres
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.postgres import eventually

_STOP_SECONDS = 10


class MortalPostgres(EmbeddedPostgres):
    """A server that can be killed as a whole or by one of its processes, and revived."""

    @property
    def postmaster(self) -> int:
        """Its process id."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def children(self) -> dict[int, str]:
        """Process id → what it says it is."""
        found, parent = {}, self.postmaster
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    title = (entry / "cmdline").read_text()
                    found[int(entry.name)] = title.strip("\0 ")
        return found

    def kill_one(self) -> bool:
        """SIGKILL to a process that serves a client: the server takes all down and recovers."""
        serving = [pid for pid, title in self.children().items() if "[local]" in title]
        if serving:
            os.kill(serving[0], signal.SIGKILL)
        return bool(serving)

    async def kill(self) -> None:
        """SIGKILL to every process."""
        pids = [self.postmaster, *self.children()]
        _signal(pids, signal.SIGKILL)
        await eventually(lambda: _gone(pids), 10)

    async def freeze(self, seconds: float) -> None:
        """SIGSTOP to every process, and SIGCONT so much later."""
        pids = [self.postmaster, *self.children()]
        _signal(pids, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            _signal(pids, signal.SIGCONT)

    async def shut_down(self) -> None:
        """As `pg_ctl stop -m fast`; one that is recovering may not obey, and is killed."""
        pid = self.postmaster
        os.kill(pid, signal.SIGINT)
        try:
            await eventually(lambda: _gone([pid]), _STOP_SECONDS)
        except TimeoutError:
            await self.kill()

    async def revive(self) -> None:
        """Start it again on what it has kept."""
        assert self._server is not None
        await asyncio.to_thread(self._reach, self._server)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def _gone(pids: list[int]) -> bool:
    return not any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def resources(daemon: Daemon) -> Mapping[str, Any]:
    """Open files, threads and resident memory of a daemon's process."""
    process = Path(f"/proc/{daemon.process.pid}")
    status = (process / "status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {
        "files": len(list((process / "fd").iterdir())),
        "threads": int(fields["Threads"]),
        "MiB": int(fields["VmRSS"].split()[0]) // 1024,
    }
