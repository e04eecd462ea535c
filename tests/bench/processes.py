"""What the system says of processes: processor time and memory."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.postgres.database import Database

MEGABYTE = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Process:
    """What the system says of a process."""

    pid: int
    rss: list[int] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Its processor time, and that of the children it waited for."""
        return sum(map(int, self._stat()[11:15])) / TICKS

    def family_seconds(self) -> float:
        """Its processor time and that of all its children."""
        everyone = (Process(int(path.name)) for path in Path("/proc").glob("[0-9]*"))
        return self.cpu_seconds() + sum(
            process.cpu_seconds() for process in everyone if process.parent() == self.pid
        )

    def parent(self) -> int:
        try:
            return int(self._stat()[1])
        except OSError:  # it has just ended
            return 0

    def _stat(self) -> list[str]:
        """The fields from the state on."""
        text = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        return text.rpartition(")")[2].split()

    async def watch(self) -> None:
        """Note the resident memory until cancelled."""
        while True:
            self.rss.append(self.megabytes())
            await asyncio.sleep(0.2)

    def megabytes(self) -> int:
        statm = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * PAGE // MEGABYTE


async def database_process(db: Database) -> Process:
    """The process whose children are the database's sessions."""
    async with db.connection() as conn:
        session = Process(await conn.fetchval("select pg_backend_pid()"))
    return Process(session.parent())


def share(values: Sequence[int], part: float) -> int:
    """The value that so large a part of the sequence has passed."""
    return values[min(int(len(values) * part), len(values) - 1)]
