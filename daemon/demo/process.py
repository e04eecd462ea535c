"""The daemon as a child process; its log goes to a file, what matters of it to the screen."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from daemon.demo.failed import DemoFailed
from daemon.settings import PREFIX

_STOP_SECONDS = 15.0
_START_SECONDS = 60.0
_LOUD = ("warning", "error", "critical")


class DaemonProcess:
    """`spartoo-sync run`; `ended` is done when it ends."""

    def __init__(self, process: Process, log: Path, warn: Callable[[str], None]):
        self._process = process
        self._log = log
        self._warn = warn
        self._listening = asyncio.get_running_loop().create_future()
        self._last = ""
        self.ended = asyncio.create_task(self._follow(), name="daemon's log")

    async def url(self) -> str:
        """Where health and metrics are, once it listens. Raises DemoFailed when it ends first."""
        waiting = {self._listening, self.ended}
        await asyncio.wait(waiting, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not self._listening.done():
            raise self.failure()
        url: str = self._listening.result()
        return url

    def failure(self) -> DemoFailed:
        """What to say of a daemon that ended by itself, or never listened."""
        status = self._process.returncode
        how = "does not listen" if status is None else f"ended with status {status}"
        return DemoFailed(f"the daemon {how}; it said last: {self._last or 'nothing'}")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough; the log is read to its end."""
        if self._process.returncode is None:
            self._process.terminate()
        await asyncio.wait({self.ended}, timeout=_STOP_SECONDS)
        if self._process.returncode is None:
            self._process.kill()
        await self.ended

    async def _follow(self) -> int:
        """Write the log down until the process ends; its exit status."""
        assert self._process.stderr is not None  # noqa: S101 - it was started with a pipe
        with self._log.open("wb") as file:
            async for line in self._process.stderr:
                file.write(line)
                file.flush()
                self._note(line)
        return await self._process.wait()

    def _note(self, line: bytes) -> None:
        try:
            entry: dict[str, Any] = orjson.loads(line)
        except orjson.JSONDecodeError:  # not a log: a traceback's
            self._last = line.decode(errors="replace").rstrip()
            self._warn(self._last)
            return
        self._last = str(entry.get("event"))
        if entry.get("event") == "listening" and not self._listening.done():
            self._listening.set_result(entry["url"])
        if entry.get("level") in _LOUD:
            about = {k: v for k, v in entry.items() if k not in ("level", "logger", "timestamp")}
            self._warn(" ".join(f"{key}={value}" for key, value in about.items()))


@asynccontextmanager
async def daemon_process(
    config: Path, log: Path, warn: Callable[[str], None]
) -> AsyncIterator[DaemonProcess]:
    """A daemon with these settings alone; ended when the block is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "daemon.cli",
        "run",
        "--config",
        str(config),
        env={k: v for k, v in os.environ.items() if not k.startswith(PREFIX)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=PIPE,
        limit=2**20,  # of a line: a traceback is one
        start_new_session=True,  # Ctrl-C is for the demo, which then stops it in good order
    )
    running = DaemonProcess(process, log, warn)
    try:
        yield running
    finally:
        await running.stop()
