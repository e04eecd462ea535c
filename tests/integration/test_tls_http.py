"""HTTPS of the daemon: the certificate it serves, how it takes up another, what it refuses."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from daemon.http_tls import HttpTls, http_tls
from daemon.settings import SettingsError, load_settings
from tests.fixtures.certificates import Authority, Pair
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System


@asynccontextmanager
async def serving(tls: HttpTls) -> AsyncIterator[int]:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def serial(port: int, authority: Authority, **limits: ssl.TLSVersion) -> str:
    """The number of the certificate that is served, checked against the authority."""
    context = ssl.create_default_context(cafile=authority.file)
    for name, version in limits.items():
        setattr(context, name, version)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return str(writer.get_extra_info("peercert")["serialNumber"])
    finally:
        writer.close()


def install(pair: Pair, at: Pair) -> None:
    """Put another pair in the place of one that is used, as renewers do: by renaming."""
    for new, old in ((pair.certificate, at.certificate), (pair.key, at.key)):
        temporary = old.with_suffix(".new")
        shutil.copy(new, temporary)
        temporary.replace(old)


async def test_a_renewed_certificate_is_taken_up_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    used = authority.issue("127.0.0.1", file="used")
    tls = HttpTls(used.certificate, used.key)
    stop = asyncio.Event()
    looking = asyncio.create_task(tls.run(stop, every_seconds=0.02))
    async with serving(tls) as port:
        first = await serial(port, authority)
        install(authority.issue("127.0.0.1", file="renewed"), used)

        async def renewed() -> bool:
            return await serial(port, authority) != first

        await eventually(renewed)
        second = await serial(port, authority)
        used.key.write_text("no key")
        assert not tls.reload()
        assert await serial(port, authority) == second
    stop.set()
    await looking


async def test_nothing_older_than_tls_1_2(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    tls = HttpTls(pair.certificate, pair.key)
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
    async with serving(tls) as port:
        assert await serial(port, authority, maximum_version=ssl.TLSVersion.TLSv1_2)
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session:
                await session.get(f"http://127.0.0.1:{port}/")


def test_wrong_files_stop_the_start_with_their_names(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other = authority.issue("a"), authority.issue("b")
    environ = {
        "HOME": str(tmp_path),
        "SPARTOO_SYNC_HTTP_TLS_CERT": str(pair.certificate),
        "SPARTOO_SYNC_HTTP_TLS_KEY": str(other.key),
    }
    with pytest.raises(SettingsError, match=r"HTTP_TLS_CERT = .*a\.crt: no PEM cert"):
        http_tls(load_settings(None, environ))
    environ["SPARTOO_SYNC_HTTP_TLS_KEY"] = str(tmp_path / "none")
    with pytest.raises(SettingsError, match=r"HTTP_TLS_KEY = .*none: No such file or directory"):
        http_tls(load_settings(None, environ))
    del environ["SPARTOO_SYNC_HTTP_TLS_CERT"]
    with pytest.raises(SettingsError, match=r"HTTP_TLS_KEY = .*: set SPARTOO_SYNC_HTTP_TLS_CERT"):
        load_settings(None, environ)
    assert http_tls(load_settings(None, {"HOME": str(tmp_path)})) is None


async def test_a_daemon_serves_https(offline: System, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    daemon = await offline.launch(http_tls_cert=str(pair.certificate), http_tls_key=str(pair.key))
    url = await daemon.listening()
    assert url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=authority.file)
    async with aiohttp.request("GET", f"{url}/healthz", ssl=context) as response:
        assert response.status == 200
    assert await daemon.terminate() == 0
