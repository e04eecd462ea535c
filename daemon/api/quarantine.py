"""Orders that cannot be read, and what is used of the plan."""

from dataclasses import asdict

from aiohttp import web
from pydantic import Field

from adapters.postgres import quarantine as store
from adapters.postgres.database import Conn
from adapters.postgres.quarantine import Quarantined
from daemon.api.commands import BY
from daemon.api.filters import OfConnection, PageWanted, known_connection
from daemon.api.routes import Answer, Asked, Nothing, Routes
from daemon.api.shapes import PlanDocument, QuarantineEntry, Reread, answer, list_of
from daemon.command_fields import Text
from daemon.plan import plan_usage
from daemon.quarantine import FOUND_BY_LOOKS, read_again
from statemachine.facts import Refused

routes = Routes()


class QuarantineWanted(OfConnection, PageWanted):
    pass


class RereadWanted(OfConnection):
    order_id: Text
    by: Text = Field(BY, description="Who asks")


_LISTED = {200: Answer("By connection and id", list_of(QuarantineEntry))}


@routes.add("GET", "/quarantine", QuarantineWanted, _LISTED)
async def list_quarantine(asked: Asked, wanted: QuarantineWanted) -> web.Response:
    """List orders and returns that cannot be read."""
    async with asked.parts.database.connection() as conn:
        only = await known_connection(conn, wanted.connection)
        page = await store.page(conn, connection=only, limit=wanted.limit, cursor=wanted.cursor)
    items = [_document(entry) for entry in page.items]
    return answer({"items": items, "next": page.next_cursor})


def _document(entry: Quarantined) -> dict[str, object]:
    document = asdict(entry)
    del document["xml"]
    return document


@routes.add(
    "POST",
    "/quarantine/{order_id}/retry",
    RereadWanted,
    {202: Answer("It will be read", Reread)},
    in_query=("connection",),
)
async def retry_quarantined(asked: Asked, wanted: RereadWanted) -> web.Response:
    """Read it again: fetched now where its id is known, else when a look next finds it."""
    async with asked.parts.database.connection() as conn:
        entry = await _find(conn, wanted)
    await read_again(asked.parts.database, entry, wanted.by)
    fetched = not entry.order_id.startswith(FOUND_BY_LOOKS)
    about = {"connection": entry.connection, "order_id": entry.order_id}
    return answer({**about, "status": "queued", "fetch": fetched}, 202)


async def _find(conn: Conn, wanted: RereadWanted) -> Quarantined:
    """The one entry that is meant. Raises Refused: unknown or ambiguous."""
    only = await known_connection(conn, wanted.connection)
    found = await store.get(conn, wanted.order_id, only)
    if len(found) > 1:
        holders = " and ".join(entry.connection for entry in found)
        why = f"{holders} both have {wanted.order_id} in quarantine; say ?connection="
        raise Refused("ambiguous_order", why)
    if not found:
        raise Refused("unknown_order", f"no order {wanted.order_id} in quarantine")
    return found[0]


@routes.add("GET", "/plan", Nothing, {200: Answer("This month", PlanDocument)})
async def show_plan(asked: Asked, _: Nothing) -> web.Response:
    """Show what the plan allows and what is used of it this month."""
    parts = asked.parts
    async with parts.database.connection() as conn:
        usage = await plan_usage(conn, parts.settings.plan, parts.clock())
    totals = {"orders": usage.orders, "further_packages": usage.further_packages}
    return answer(asdict(usage) | totals)
