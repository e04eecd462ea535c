"""What if: kept orders decided again under other settings. Nothing is changed."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import ValidationError

from adapters.postgres import connections
from adapters.postgres.connections import Connection
from adapters.postgres.database import Conn
from adapters.postgres.errors import UnknownConnection
from daemon.console.addresses import place
from daemon.console.charts import Chart, Pair, pairs_chart
from daemon.console.connection_choice import Choice, connection_choice
from daemon.console.visit import Complaint, Entry, Pages, Visit
from daemon.readiness import READINESS
from daemon.what_if import what_if
from statemachine.connection import PriceAttribute
from statemachine.model import ConnectionId
from statemachine.what_if import NOTES, Supposed, WhatIf

PAGES = Pages(Entry("What if", "/what-if"))
AT_ONCE = web.AppKey("what-ifs at once", asyncio.Semaphore)

_DAYS = 30
_MOST_DAYS = 62  # more are drawn by month
_FIELDS = ("connection", "since", "until", "threshold", "price_attribute", "auto_accept")


def register_what_if(app: web.Application) -> None:
    """A long period takes long: few are computed at once, and each holds one connection."""
    app[AT_ONCE] = asyncio.Semaphore(2)


@PAGES.get("/what-if")
async def show(visit: Visit) -> web.Response:
    """The form and, once something is supposed, the answer."""
    given = {name: visit.text(name) for name in _FIELDS}
    async with visit.connection() as conn:
        known = await connection_choice(conn)
        connection = await _connection(conn, given["connection"], known)
    errors: dict[str, str] = {}
    found = None
    if given["connection"] and connection and any(given[name] for name in _FIELDS[3:]):
        found = await _answer(visit, connection, given, errors)
    given["connection"] = connection.id if connection else ""
    today = visit.parts.clock().date()
    return await visit.page(
        "what_if/what_if.html",
        title="What if",
        status=422 if errors else 200,
        connections=known,
        settings=connection.settings if connection else None,
        given=given | {"since": given["since"] or (today - timedelta(days=_DAYS)).isoformat()},
        errors=errors,
        attributes=list(PriceAttribute),
        found=found,
        chart=_chart(found) if found else None,
        notes=NOTES,
        place=place,
    )


async def _connection(conn: Conn, name: str, known: Choice) -> Connection | None:
    """The one that is named, else the first; None where there is none. Raises Complaint."""
    if not name and not known.ids:
        return None
    try:
        return await connections.get(conn, ConnectionId(name) if name else known.ids[0])
    except UnknownConnection:
        raise Complaint(404, f"There is no connection {name[:80]}.") from None


async def _answer(
    visit: Visit, connection: Connection, given: dict[str, str], errors: dict[str, str]
) -> WhatIf | None:
    """The counts; None when something given cannot be understood, said in `errors`."""
    zone = ZoneInfo(connection.settings.timezone)
    since = _day(given, "since", zone, errors)
    until = _day(given, "until", zone, errors, days=1)
    supposed = _supposed(given, errors)
    if errors or supposed is None:
        return None

    def told(_: WhatIf) -> None:
        transport = visit.request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("nobody waits for the answer any more")
        if visit.request.app[READINESS].stop.is_set():
            raise Complaint(503, "The daemon is stopping. Try again in a moment.")

    async with visit.request.app[AT_ONCE], visit.connection() as conn:
        return await what_if(conn, connection.settings, since, until, supposed, told)


def _day(
    given: dict[str, str], name: str, zone: ZoneInfo, errors: dict[str, str], *, days: int = 0
) -> datetime | None:
    text = given[name]
    if not text:
        return None
    try:
        after = date.fromisoformat(text) + timedelta(days=days)
        return datetime.combine(after, time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        errors[name] = "must be a day, like 2026-11-20"
        return None


def _supposed(given: dict[str, str], errors: dict[str, str]) -> Supposed | None:
    try:
        return Supposed(
            auto_accept=_switch(given["auto_accept"]),
            price_attribute=PriceAttribute(given["price_attribute"])
            if given["price_attribute"]
            else None,
            price_threshold=Decimal(given["threshold"]) if given["threshold"] else None,
        )
    except (InvalidOperation, ValidationError):
        errors["threshold"] = "must be a decimal over 0 and at most 2, like 0.95"
    except ValueError:
        errors["price_attribute"] = "must be one of those offered"
    return None


def _switch(text: str) -> bool | None:
    return None if text not in {"on", "off"} else text == "on"


def _chart(found: WhatIf) -> Chart:
    """Accepted a day, or a month where the period is long."""
    by_month = len(found.by_day) > _MOST_DAYS
    counts: dict[str, list[int]] = {}
    for day, outcomes in sorted(found.by_day.items()):
        label = f"{day:%b %Y}" if by_month else f"{day:%d %b}"
        pair = counts.setdefault(label, [0, 0])
        pair[0] += outcomes.accepted
        pair[1] += outcomes.would_accept
    return pairs_chart([Pair(label, *pair) for label, pair in counts.items()])
