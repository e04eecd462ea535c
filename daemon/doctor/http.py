"""The port the daemon listens on: free, or answered by the daemon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp

from daemon.doctor.finding import Finding, failed, ok, warning
from daemon.settings import Settings

HTTP = "http port"
_UNREADABLE = (
    ValueError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
    aiohttp.ServerDisconnectedError,
)
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


async def check_http(settings: Settings) -> AsyncIterator[Finding]:
    """Who answers there; if nobody, whether we could listen."""
    host, port = settings.http_host, settings.http_port
    if port == 0:
        yield ok(HTTP, "any free port")
        return
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=4)) as session:
        url = f"http://{_bracketed(_ANY.get(host, host))}:{port}"
        try:
            alive = await _answer(session, f"{url}/healthz")
        except aiohttp.ClientConnectorError:
            yield await _listenable(host, port)
            return
        if alive != {"status": "alive"}:
            remedy = "stop it, or set SPARTOO_SYNC_HTTP_PORT to another port"
            yield failed(HTTP, f"{url}: another program answers there", remedy)
            return
        yield ok(HTTP, f"{url}: the daemon answers")
        ready = await _answer(session, f"{url}/readyz") or {}
    if ready.get("status") != "ready":
        missing = "; ".join(map(str, ready.get("missing", ["no readable answer"])))
        yield warning("readiness", f"the daemon is not ready: {missing}", "mend what is missing")


async def _answer(session: aiohttp.ClientSession, url: str) -> dict[str, Any] | None:
    """The JSON object there; None for anything else. Raises ClientConnectorError."""
    with suppress(*_UNREADABLE):
        async with session.get(url) as response:
            found = await response.json()
            return found if isinstance(found, dict) else None
    return None


async def _listenable(host: str, port: int) -> Finding:
    try:
        server = await asyncio.start_server(lambda _reader, _writer: None, host, port)
    except OSError as error:
        remedy = "set SPARTOO_SYNC_HTTP_HOST and SPARTOO_SYNC_HTTP_PORT to what may be listened on"
        return failed(HTTP, f"{host}:{port}: {error.strerror or error}", remedy)
    server.close()
    await server.wait_closed()
    return ok(HTTP, f"{host}:{port}: free")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
