"""The event log, newest first, or that of one subject."""

import orjson
from aiohttp import web

from adapters.ports import LoggedEvent
from adapters.postgres import catalog, events
from daemon.console.addresses import listed, place
from daemon.console.visit import Complaint, Entry, Pages, Visit

PAGES = Pages(Entry("Events", "/events"))

_LIMIT = 50
_MOST = 2**63 - 1


@PAGES.get("/events")
async def log(visit: Visit) -> web.Response:
    """A page of the log."""
    subject, before = visit.text("subject"), _position(visit.text("before"))
    async with visit.connection() as conn:
        names = await catalog.catalogs(conn) if subject else []
        found = await events.newest(
            conn, before, _LIMIT + 1, subject=subject or None, catalogs=names
        )
        published = await events.relay_position(conn)
    shown = found[:_LIMIT]
    kept = {"subject": subject} if subject else {}
    older = str(shown[-1].position) if len(found) > _LIMIT else None
    return await visit.page(
        "events/log.html",
        title="Events",
        events=shown,
        subject=subject,
        published=published,
        broker=visit.parts.settings.amqp_url is not None,
        pretty=_pretty,
        link=_order_page,
        first=listed("/events", kept) if before is not None else None,
        next=listed("/events", {**kept, "before": older}) if older else None,
    )


def _position(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text[:20]) > _MOST:
        raise Complaint(400, "“before” is the position of an event: a whole number.")
    return int(text)


def _pretty(data: bytes) -> str:
    return orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2).decode()


def _order_page(event: LoggedEvent) -> str | None:
    if event.order_id is None or event.connection is None:
        return None
    return place("/orders", event.connection, event.order_id)
