"""Connections: the grid with their health, looking now, switching on and off, trying the key."""

from aiohttp import web

from adapters.postgres.connections import Connection
from adapters.postgres.errors import UnknownConnection
from adapters.registry import MARKETPLACES
from daemon.connection_check import check_connection
from daemon.connection_health import Health, health_of, health_page
from daemon.console.addresses import listed, named, place
from daemon.console.visit import Complaint, Entry, Pages, Visit
from daemon.plan import plan_usage
from statemachine.facts import Refused
from statemachine.model import ConnectionId

PAGES = Pages(Entry("Connections", "/connections"))


@PAGES.get("/connections")
async def grid(visit: Visit) -> web.Response:
    """Connections and how they stand."""
    text, cursor = visit.text("q"), visit.text("cursor")
    async with visit.connection() as conn:
        page = await health_page(conn, text=text or None, cursor=cursor or None)
    more = {"q": text, "cursor": page.next_cursor or ""}
    return await visit.page(
        "connections/grid.html",
        title="Connections",
        found=page.items,
        kinds=MARKETPLACES,
        text=text,
        search=bool(text or cursor or page.next_cursor),
        first=listed("/connections", {"q": text}) if cursor else None,
        next=listed("/connections", more) if page.next_cursor else None,
    )


@PAGES.get("/plan")
async def plan(visit: Visit) -> web.Response:
    """What is used of the plan."""
    now = visit.parts.clock()
    async with visit.connection() as conn:
        usage = await plan_usage(conn, visit.parts.settings.plan, now)
    return await visit.page("plan/plan.html", title="Plan", usage=usage, month=now)


@PAGES.post("/connections/{id}/sync")
async def synchronize(visit: Visit) -> web.Response:
    """Look now; with a date, at everything placed since."""
    connection = await known(visit)
    since = visit.text("since")
    if connection.suspended_at is not None and connection.settings.active:
        why = f"suspended: {connection.suspended_message}. Give a new API key or activate it again"
        return visit.go(page_of(connection.id), f"{connection.id} is {why}.", kind="bad")
    fields = {"command": "connection.sync", "connection": connection.id}
    if since:
        fields["since"] = since
    told = "Looking now; what is found appears among the orders."
    if since:
        told = f"Looking at everything placed since {since}; it appears among the orders."
    return await _carry_out(visit, connection.id, fields, told)


@PAGES.post("/connections/{id}/activate")
async def activate(visit: Visit) -> web.Response:
    """Switch it on, within the plan; ends a suspension."""
    return await _switch(visit, "connection.activate", "is active: it is looked at now.")


@PAGES.post("/connections/{id}/disable")
async def disable(visit: Visit) -> web.Response:
    """Switch it off; its pending work waits."""
    told = "is disabled: nothing is looked at or sent, its pending work waits."
    return await _switch(visit, "connection.disable", told)


@PAGES.post("/connections/{id}/test")
async def test(visit: Visit) -> web.Response:
    """Try the stored key."""
    connection = await known(visit)
    try:
        await check_connection(visit.parts.accounts, connection.id)
    except Refused as refused:
        return _back(visit, connection.id, refused.message, kind="bad")
    return _back(visit, connection.id, f"{connection.id} works: the site knows the API key.")


async def _switch(visit: Visit, command: str, told: str) -> web.Response:
    connection = await known(visit)
    fields = {"command": command, "connection": connection.id}
    return await _carry_out(visit, connection.id, fields, f"{connection.id} {told}")


async def _carry_out(
    visit: Visit, connection: ConnectionId, fields: dict[str, str], told: str
) -> web.Response:
    outcome = await visit.carry_out(fields)
    if outcome.refused:
        return _back(visit, connection, outcome.message, kind="bad")
    return _back(visit, connection, told)


def _back(visit: Visit, connection: ConnectionId, told: str, *, kind: str = "good") -> web.Response:
    """To the page the form stood on: the grid or the connection."""
    path = "/connections" if visit.text("back") == "grid" else page_of(connection)
    return visit.go(path, told, kind=kind)


def page_of(connection: ConnectionId) -> str:
    """Where a connection is shown."""
    return place("/connections", connection)


async def known(visit: Visit) -> Connection:
    """The connection the address names. Raises Complaint."""
    return (await known_health(visit)).connection


async def known_health(visit: Visit) -> Health:
    """The connection the address names and how it stands. Raises Complaint."""
    connection = ConnectionId(named(visit, "id"))
    try:
        async with visit.connection() as conn:
            return await health_of(conn, connection)
    except UnknownConnection:
        raise Complaint(404, f"There is no connection {connection}.") from None
