"""Exports of any length as files, and a marketplace that hands them out and agrees to all else.

`python -m tests.bench.exports DIRECTORY` serves `DIRECTORY/SERVICE.xml` as `/mp/SERVICE.php` and
writes its address as its first line. What is measured against it pays for its own work and the
network's, and for no simulator.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from adapters.spartoo.client import CHANGE_ORDER, EXPORT_ORDERS, EXPORT_RETURNS
from adapters.spartoo.simulator.factory import OrderFactory, Wishes
from adapters.spartoo.simulator.orders import Status
from adapters.spartoo.simulator.xml import render_order

SEED = 7
APART = timedelta(seconds=1)
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<root>\n'
_TAIL = "<statut><id>1</id><description>OK</description></statut></root>\n"


@dataclass(frozen=True)
class Exports:
    """What is handed out, and where."""

    url: str
    directory: Path

    def write(self, count: int) -> None:
        """From now on so many verified orders, a second apart, the last placed now; no returns."""
        factory = OrderFactory(SEED, ("bench",), {"fine": 1})
        now = datetime.now(UTC)
        self.directory.mkdir(exist_ok=True)
        with self._file(EXPORT_ORDERS).open("w", encoding="utf-8") as file:
            file.write(f"{_HEAD}<orders>")
            for number in range(count):
                at = now - (count - 1 - number) * APART
                wishes = Wishes(status=Status.VERIFIED)
                file.write(render_order(factory.make(number, wishes, at, at)))
            file.write(f"</orders>{_TAIL}")
        self._file(EXPORT_RETURNS).write_text(f"{_HEAD}<returns></returns>{_TAIL}")
        self._file(CHANGE_ORDER).write_text(f"{_HEAD}{_TAIL}")

    def _file(self, service: str) -> Path:
        return self.directory / f"{service}.xml"


async def _serve(directory: Path) -> None:
    async def answer(request: web.Request) -> web.FileResponse:
        await request.post()
        return web.FileResponse(directory / f"{request.match_info['service']}.xml")

    app = web.Application()
    app.router.add_post("/mp/{service}.php", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, port = runner.addresses[0]
    print(f"http://127.0.0.1:{port}/mp", flush=True)  # noqa: T201 - its first line is for the parent
    await asyncio.Event().wait()


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Exports]:
    """A process that hands out the exports of a new directory: an empty one at first."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.exports", str(directory)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        exports = Exports((await process.stdout.readline()).decode().strip(), directory)
        exports.write(0)
        yield exports
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
