"""Quarantine: what cannot be read, its XML and why, and reading it again."""

from aiohttp import web

from adapters.postgres import quarantine as store
from adapters.postgres.quarantine import Quarantined
from daemon.console.addresses import listed, named, place
from daemon.console.visit import BY, Complaint, Entry, Pages, Visit
from daemon.quarantine import FOUND_BY_LOOKS, read_again
from statemachine.model import ConnectionId

PAGES = Pages(Entry("Quarantine", "/quarantine"))

_SHOWN_XML = 256 * 1024  # bytes


@PAGES.get("/quarantine")
async def grid(visit: Visit) -> web.Response:
    """Everything that cannot be read."""
    connection, cursor = visit.text("connection"), visit.text("cursor")
    wanted = ConnectionId(connection) if connection else None
    async with visit.connection() as conn:
        page = await store.page(conn, connection=wanted, cursor=cursor or None)
        counts = await store.counts(conn)
    kept = {"connection": connection}
    more = {**kept, "cursor": page.next_cursor or ""}
    return await visit.page(
        "quarantine/grid.html",
        title="Quarantine",
        entries=page.items,
        connection=connection,
        counts=counts,
        page_of=page_of,
        first=listed("/quarantine", kept) if cursor else None,
        next=listed("/quarantine", more) if page.next_cursor else None,
    )


@PAGES.get("/quarantine/{connection}/{key}")
async def show(visit: Visit) -> web.Response:
    """One entry, its XML as text."""
    entry = await _known(visit)
    xml = entry.xml[:_SHOWN_XML].decode("utf-8", "replace")
    return await visit.page(
        "quarantine/entry.html",
        title=entry.order_id,
        entry=entry,
        xml=xml,
        cut=len(entry.xml) > _SHOWN_XML,
        here=page_of(entry),
        fetched=not entry.order_id.startswith(FOUND_BY_LOOKS),
    )


@PAGES.post("/quarantine/{connection}/{key}/retry")
async def retry(visit: Visit) -> web.Response:
    """Read it again."""
    entry = await _known(visit)
    await read_again(visit.parts.database, entry, BY)
    told = "it is read from Spartoo again"
    if entry.order_id.startswith(FOUND_BY_LOOKS):
        told = "it is read again by the look that next finds it"
    return visit.go("/quarantine", f"{entry.connection} {entry.order_id}: {told}.")


async def _known(visit: Visit) -> Quarantined:
    key, connection = named(visit, "key"), ConnectionId(named(visit, "connection"))
    async with visit.connection() as conn:
        found = await store.get(conn, key, connection)
    if not found:
        raise Complaint(404, f"There is no {key} in quarantine. It may have been read by now.")
    return found[0]


def page_of(entry: Quarantined) -> str:
    """Where an entry is shown."""
    return place("/quarantine", entry.connection, entry.order_id)
