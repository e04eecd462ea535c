"""Requests to the daemon's real HTTP application, its database away: the API and the console.

The first byte of an input names an address, which its first line follows; past the last address
there is, that line is the request's own. Then come headers to the empty line, and the body; length,
session and CSRF token are added. Promised: an answer that is no 500, and no error in the log.
"""

import asyncio
import atexit
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from structlog.testing import capture_logs

from adapters.postgres.database import Database, _pool
from adapters.postgres.wakeups import Wakeups
from daemon.accounts import Accounts
from daemon.api import ROUTES
from daemon.clock import Clock, utc_now
from daemon.commands import CommandDesk
from daemon.console import GROUPS
from daemon.console.guard import CSRF_HEADER
from daemon.console.seal import Seal
from daemon.console.session import COOKIE, Session
from daemon.metrics import Metrics
from daemon.readiness import Readiness
from daemon.settings import Settings, ensure_secret_key
from daemon.web import web_app
from daemon.wiring import Parts
from tests.fuzz.target import Target

_NOWHERE = "postgresql://nobody@/none?host=/nonexistent&port=1"
_SPINS = 400  # turns of the loop that an answer may take


class _Wire(asyncio.Transport):
    """The other end of a connection: keeps what is answered."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8080)})
        self.answered = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.answered += data

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Nothing more comes anyway."""

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """It takes all."""


class _Daemon:
    """The application with everything but a database that answers; errors it logs are kept."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.loop = asyncio.new_event_loop()
        atexit.register(self._close)
        self._directory = tempfile.TemporaryDirectory(prefix="spartoo-sync-fuzz-")
        atexit.register(self._directory.cleanup)
        self._head = b""
        self._runner = self.loop.run_until_complete(self._start())

    async def _start(self) -> web.AppRunner:
        settings, metrics = Settings(state_dir=Path(self._directory.name)), Metrics()
        cipher = ensure_secret_key(settings)
        pool = await _pool(_NOWHERE, "fuzz", 4)
        database = self._database = Database("fuzz", pool, pool, Wakeups(_NOWHERE))
        clock = Clock(database, utc_now())
        self._session = aiohttp.ClientSession()
        accounts = Accounts(database, self._session, cipher, metrics, clock)
        readiness = Readiness(settings, asyncio.Event())
        desk = CommandDesk(database, settings.plan, metrics, clock)
        readiness.parts = Parts(settings, database, clock, cipher, metrics, accounts, desk)
        session = Session.begin()
        sealed = Seal(cipher, COOKIE).close(asdict(session))
        self._head = f"Host: localhost\r\nCookie: {COOKIE}={sealed}\r\n{CSRF_HEADER}: {session.csrf}\r\n".encode()
        runner = web.AppRunner(web_app(metrics, readiness), access_log=None)
        await runner.setup()
        return runner

    def _close(self) -> None:
        with capture_logs():
            self.loop.run_until_complete(self._end())
        self.loop.close()

    async def _end(self) -> None:
        await self._session.close()
        await self._database.close()
        await self._runner.cleanup()

    def answer(self, request: bytes) -> bytes:
        """What comes back for the bytes of a request; notes the errors logged on the way."""
        with capture_logs() as logs:
            answer = self.loop.run_until_complete(self._answer(request))
        bad = ("error", "critical")
        self.errors = [str(entry.get("at") or entry) for entry in logs if entry["log_level"] in bad]
        return answer

    async def _answer(self, request: bytes) -> bytes:
        head, _, body = request[1:].partition(b"\n\n")
        first, _, rest = head.partition(b"\n")
        if request[:1] and request[0] < len(_ADDRESSES):
            first = _ADDRESSES[request[0]] + first
        headers = b"".join(line + b"\r\n" for line in rest.split(b"\n") if line)
        length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        wire, server = _Wire(), self._runner.server
        assert server is not None
        protocol = server()
        protocol.connection_made(wire)
        protocol.data_received(first + b" HTTP/1.1\r\n" + self._head + headers + length + body)
        for _ in range(_SPINS):
            await asyncio.sleep(0)
            if wire.closed:
                break
        wire.closed = True
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        return bytes(wire.answered)


_daemon: _Daemon | None = None


def try_input(data: bytes) -> None:
    """Send the input, and judge the answer."""
    global _daemon  # noqa: PLW0603 - made when first needed: importing opens nothing
    _daemon = _daemon or _Daemon()
    answer = _daemon.answer(data)
    assert not _daemon.errors, _daemon.errors
    status, _, body = answer[9:12], *answer.partition(b"\r\n\r\n")[1:]
    assert status != b"500", answer[:2000]
    if b"application/problem+json" in answer.partition(b"\r\n\r\n")[0]:
        assert orjson.loads(body)["status"] == int(status)


def _addresses() -> Iterator[bytes]:
    """Every address of the API and the console."""
    names = {"connection": "shoes-fr", "order_id": "A1", "return_id": "7", "product_id": "1"}
    pages = [page for group in GROUPS for page in group.routes]
    for method, path in [
        *((route.method, f"/api/v1{route.path}") for route in ROUTES),
        *((page.method, page.path) for page in pages),
    ]:
        filled = re.sub(r"{(\w+)[^}]*}", lambda name: names.get(name[1], "x"), path)
        yield f"{method} {filled}".encode()


_ADDRESSES = tuple(_addresses())


def seeds() -> Iterator[bytes]:
    """Every address, plain and with a query or a body; and some of its own."""
    for number, address in enumerate(_ADDRESSES):
        yield bytes([number])
        if address.startswith(b"GET"):
            yield bytes([number]) + b"?" + _QUERY
        else:
            yield bytes([number]) + (_BODY if b"/api/" in address else _FORM)
    yield from (b"\xff" + request for request in _OTHERS)


_QUERY = b"connection=shoes-fr&limit=9&cursor=W10&q=ada&after=1"
_BODY = (
    b"\nContent-Type: application/json\nIdempotency-Key: k\n\n"
    b'{"tracking_number":"8R1","shipping_service":"DPD","stock":1,"price_threshold":"0.95","since":"2026-11-01"}'
)
_FORM = (
    b"\nContent-Type: application/x-www-form-urlencoded\n\nconnection=shoes-fr&order_id=A1&state=new&since=2026-11-01"
    b"&until=0001-01-01&zone=Asia/Tokyo&text=ada&command=order.accept&cursor=W10&id=a&stock=1&text=x&api_key=5f01"
)
_OTHERS = (
    b"GET /api/v1/orders?connection=shoes-fr&state=new&q=ada&from=2026-11-01&to=2026-11-20T09:12:00+01:00&limit=9&cursor=W10&attention=true",
    b"GET /api/v1/events/stream?after=0\nLast-Event-ID: 99999999999999999999",
    b"GET /api/v1/events?after=%F0%9F%98%80&limit=1e3",
    b"GET /orders?since=0001-01-01&until=9999-12-31&zone=../../etc/passwd&search=AAAA&cursor=W10",
    b'PATCH /api/v1/connections/shoes-fr\nContent-Type: application/json\nIf-Match: "7"\n\n{"\\ud800":1}',
    b'PATCH /api/v1/connections/%00\nContent-Type: application/merge-patch+json\nIf-Match: *\n\n{"price_threshold":1e9999999999999999999}',
    b"POST /catalogue/import\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: form-data; name=catalog\r\n\r\ndefault\r\n--b--\r\n",
    b"GET /what-if?connection=x&since=2026-11-01&threshold=NaN", b"GET /stream?at=2026-11-20T09:12:00", b"GET /metrics",
    b"GET /healthz", b"OPTIONS *", b"GET /static/../x", b"GET //evil.example/", b"GET /login?next=//evil.example",
)  # fmt: skip

TARGET = Target("requests", try_input, seeds, share=100)
