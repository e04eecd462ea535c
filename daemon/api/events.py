"""The event log: paged, and as it grows (server-sent events)."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from aiohttp import web
from pydantic import Field

from adapters.ports import LoggedEvent
from adapters.postgres.errors import PostgresError
from adapters.rabbitmq.envelope import attributes
from daemon.api.filters import Wanted
from daemon.api.problems import problem
from daemon.api.routes import Answer, Asked, Routes
from daemon.api.shapes import EventDocument, list_of
from daemon.event_log import GAP_SECONDS, PATIENCE, LogReader, position_now
from daemon.readiness import Readiness
from daemon.supervisor import wait_or_stop

log = structlog.get_logger(__name__)

routes = Routes()

MOST_STREAMS = 100  # open ones of one process

_LAST = 2**63 - 1
_WINDOW = 100  # events read and written at once
_WAKE_SECONDS = 1.0
_ALIVE_SECONDS = 15.0
_WRITE_SECONDS = 30.0  # who takes longer to read is let go; it may come again and resume
_RETRY_SECONDS = 30
_STREAM = "text/event-stream"


@dataclass(slots=True)
class Streams:
    """Those that are open now."""

    open: int = 0


STREAMS = web.AppKey("event streams", Streams)


class EventsWanted(Wanted):
    after: int = Field(0, ge=0, le=_LAST, description="Position of the last event known")
    limit: int = Field(50, ge=1, le=200, description="At most so many")


class StreamWanted(Wanted):
    after: int | None = Field(
        None, ge=0, le=_LAST, description="Position of the last event known (none: what comes)"
    )
    last_event_id: int | None = Field(
        None, ge=0, le=_LAST, description="As `after`; a browser resumes by it"
    )


_PAGE = Answer("Oldest first; `next` is the next `after`", list_of(EventDocument))


@routes.add("GET", "/events", EventsWanted, {200: _PAGE})
async def list_events(asked: Asked, wanted: EventsWanted) -> web.Response:
    """Read the event log from a position on."""
    reader = LogReader(wanted.after)
    found: list[LoggedEvent] = []
    async with asked.parts.database.connection() as conn:
        found += await reader.read(conn, wanted.limit)
    if reader.waits and not found:
        found += await _after_the_gap(asked, reader, wanted.limit)
    more = len(found) == wanted.limit or reader.waits
    document = {
        "items": [_document(event) for event in found],
        "next": str(reader.position) if more else None,
    }
    return web.Response(body=orjson.dumps(document), content_type="application/json")


async def _after_the_gap(asked: Asked, reader: LogReader, limit: int) -> Iterable[LoggedEvent]:
    """Wait a little for a transaction that may fill it."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(GAP_SECONDS)
        async with asked.parts.database.connection() as conn:
            found = await reader.read(conn, limit)
        if found or not reader.waits:
            return found
    return ()


def _document(event: LoggedEvent) -> dict[str, Any]:
    return {"position": event.position, **attributes(event)}


@routes.add(
    "GET",
    "/events/stream",
    StreamWanted,
    {200: Answer("Events; their ids are positions", {"type": "string"}, content_type=_STREAM)},
    in_header={"last_event_id": "Last-Event-ID"},
)
async def stream_events(asked: Asked, wanted: StreamWanted) -> web.StreamResponse:
    """Follow the event log as it grows; each event's id resumes it."""
    streams = asked.request.config_dict[STREAMS]
    if streams.open >= MOST_STREAMS:
        return _too_many()
    streams.open += 1
    try:
        return await _stream(asked, wanted)
    finally:
        streams.open -= 1


def _too_many() -> web.Response:
    said = f"{MOST_STREAMS} streams are open already; end one, or read GET /events page by page"
    return problem(503, "too_many_streams", said, headers={"Retry-After": str(_RETRY_SECONDS)})


async def _stream(asked: Asked, wanted: StreamWanted) -> web.StreamResponse:
    known = wanted.after if wanted.last_event_id is None else wanted.last_event_id
    position = await position_now(asked.parts.database) if known is None else known
    headers = {"Content-Type": _STREAM, "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(asked.request)
    try:
        await _follow(asked, LogReader(position), response)
    except Exception:
        log.exception("event stream failed")  # its client comes again; no answer fits in here
    return response


async def _follow(asked: Asked, reader: LogReader, response: web.StreamResponse) -> None:
    """Write what comes until the daemon stops, the client has gone or takes too long to read.

    One window is held at a time: a slow client slows its own reading down and nothing else.
    """
    client = Client(asked.request, response)
    await client.write(b"retry: 2000\n\n")
    while client.listens and not asked.readiness.stop.is_set():
        try:
            window = await _next(asked.readiness, reader)
        except PostgresError as error:
            log.warning("event stream waits", error=str(error))
            await wait_or_stop(asked.readiness.stop, _WAKE_SECONDS)
            window = ()
        await client.write(b"".join(map(_message, window)))


async def _next(readiness: Readiness, reader: LogReader) -> Iterable[LoggedEvent]:
    """The next window; none when there was nothing for a while."""
    if readiness.parts is None:
        return ()
    database = readiness.parts.database
    async with database.connection() as conn:
        window = await reader.read(conn, _WINDOW)
    if not window:
        await database.wakeups.wait("events", GAP_SECONDS if reader.waits else _WAKE_SECONDS)
    return window


def _message(event: LoggedEvent) -> bytes:
    head = f"id: {event.position}\nevent: {event.type}\ndata: ".encode()
    return head + orjson.dumps(_document(event)) + b"\n\n"


class Client:
    """Who reads a stream, while it does."""

    def __init__(self, request: web.Request, response: web.StreamResponse):
        self._request = request
        self._response = response
        self._alive_at = asyncio.get_running_loop().time()
        self._gone = False

    @property
    def listens(self) -> bool:
        """False once it has gone, or was let go."""
        transport = self._request.transport
        return not self._gone and transport is not None and not transport.is_closing()

    async def write(self, data: bytes) -> None:
        """Write, or now and then a comment where there is nothing: it finds out who has gone."""
        now = asyncio.get_running_loop().time()
        if not data and now - self._alive_at < _ALIVE_SECONDS:
            return
        self._alive_at = now
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._response.write(data or b": alive\n\n")
        except ConnectionError:
            self._gone = True
        except TimeoutError:
            self._let_go()

    def _let_go(self) -> None:
        log.info("event stream ended", reason="its client does not read")
        self._gone = True
        if self._request.transport is not None:
            self._request.transport.abort()
