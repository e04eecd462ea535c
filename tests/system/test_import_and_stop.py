"""A daemon asked to stop while it reads an uploaded file leaves in time, and no file behind."""

import asyncio
import io
import re
import time
from pathlib import Path

import aiohttp
import asyncpg

from tests.fixtures.daemon_process import Daemon
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System


async def uploaded(url: str, content: bytes) -> str:
    """Send a catalogue as a person would; the address of its report."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        async with http.get(f"{url}/catalogue/import") as response:
            found = re.search(r'name="csrf" content="([^"]+)"', await response.text())
        assert found
        form = aiohttp.FormData({"csrf": found[1], "catalog": "default"})
        form.add_field("file", io.BytesIO(content), filename="shoes.csv")
        async with http.post(f"{url}/catalogue/import", data=form) as response:
            assert response.status == 200
            return str(response.url)


async def test_a_stop_while_a_file_is_read(offline: System, tmp_path: Path) -> None:
    folder = offline.directory / "state" / "uploads"
    daemon = Daemon(offline.settings(), tmp_path / "daemon.log")
    offline.daemons.append(daemon)
    await (await daemon.start()).wait_ready()
    url = await daemon.listening()
    holder = await asyncpg.connect(offline.dsn)
    try:
        async with holder.transaction():  # nobody writes the catalogue meanwhile
            lock = "select pg_advisory_xact_lock(hashtextextended('catalog default', 0))"
            await holder.execute(lock)
            await uploaded(url, b"id\n" + b"".join(b"p%d\n" % n for n in range(5000)))
            waits = "select count(*) from pg_locks where not granted"

            async def waiting() -> bool:
                return bool(await holder.fetchval(waits))

            await eventually(waiting)
            assert await asyncio.to_thread(lambda: list(folder.glob("spartoo-sync-*")))
            began = time.monotonic()
            assert await daemon.terminate() == 0
            assert time.monotonic() - began < 10
    finally:
        await holder.close()
    assert not await asyncio.to_thread(lambda: list(folder.glob("spartoo-sync-*")))
    (row,) = await offline.rows("select finished_at, products from imports")
    assert (row["finished_at"], row["products"]) == (None, 0)
    assert not [record for record in daemon.logs() if record.get("level") == "error"]
