"""Live updates: tells open pages that something moved; they ask for what they show.

Woken by the database's notifications, at most once a second, whatever happens in between.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from adapters.postgres import orders
from adapters.postgres.errors import PostgresError
from adapters.postgres.orders import WaitingOrders
from daemon.console.guard import CONSOLE, HEADERS
from daemon.console.visit import Complaint, Pages, Visit
from daemon.readiness import READINESS
from daemon.supervisor import wait_or_stop
from statemachine.model import ConnectionId, OrderId

PAGES = Pages()

MOST = 200  # open streams of one process
LIFE_SECONDS = 600.0  # then the browser comes again, and its session is looked at again
HEARTBEAT_SECONDS = 15.0
PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class _Known:
    """What this browser was told last."""

    standing: WaitingOrders | None = None
    changed_at: datetime | None = None


@PAGES.get("/stream", head=False)
async def stream(visit: Visit) -> web.StreamResponse:
    """Server-sent events until the daemon stops, the browser leaves, or its time is over."""
    console = visit.request.app[CONSOLE]
    if console.streams >= MOST:
        raise Complaint(503, f"{MOST} pages are watching already; this one is not kept up to date.")
    console.streams += 1
    try:
        return await _send(visit)
    finally:
        console.streams -= 1


async def _send(visit: Visit) -> web.StreamResponse:
    response = web.StreamResponse(headers=HEADERS | {"X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    await response.prepare(visit.request)
    stop = visit.request.app[READINESS].stop
    loop = asyncio.get_running_loop()
    end, beat = loop.time() + LIFE_SECONDS, loop.time()
    known = _Known(changed_at=_moment(visit.text("at")))
    await response.write(b"retry: 2000\n\n")
    try:
        while not stop.is_set() and loop.time() < end and _there(visit.request):
            moved = await visit.parts.database.wakeups.wait("events", PAUSE_SECONDS)
            if moved:
                await response.write(await _news(visit, known))
                await wait_or_stop(stop, PAUSE_SECONDS)
            elif loop.time() >= beat:
                beat = loop.time() + HEARTBEAT_SECONDS
                await response.write(b": here\n\n")
    except (ConnectionError, PostgresError):
        pass  # the browser left, or comes again once the database is back
    return response


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _there(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


async def _news(visit: Visit, known: _Known) -> bytes:
    """What moved since the last time, as server-sent events."""
    watched = visit.text("connection"), visit.text("order")
    async with visit.connection() as conn:
        standing = await orders.waiting(conn)
        changed_at = None
        if all(watched):
            changed_at = await orders.changed_at(
                conn, ConnectionId(watched[0]), OrderId(watched[1])
            )
    news = _event("orders", "")
    if standing != known.standing:
        text = visit.renderer.render("standing.html", "", {"waiting": standing})
        news += _event("standing", text)
    if changed_at != known.changed_at:
        news += _event("order", "")
    known.standing, known.changed_at = standing, changed_at
    return news


def _event(kind: str, data: str) -> bytes:
    lines = "".join(f"data: {line.strip()}\n" for line in data.split("\n"))
    return f"event: {kind}\n{lines}\n".encode()
