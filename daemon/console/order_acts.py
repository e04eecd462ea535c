"""What a person does to one order: commands, shipping, comments; and its delivery slip."""

from typing import Any
from urllib.parse import quote

from aiohttp import web

from adapters.ports import MarketplaceError
from adapters.postgres import comments
from adapters.postgres.comments import Comment
from daemon.accounts import BudgetSpent
from daemon.console.order_page import opened, show_tab
from daemon.console.orders import order_path, path_of
from daemon.console.visit import BY, Complaint, Outcome, Pages, Visit
from daemon.slips import delivery_slip
from statemachine.facts import Refused
from statemachine.model import Order
from statemachine.shipping import left_to_ship

PAGES = Pages()

LONGEST_COMMENT = 4000

DONE = {
    "order.accept": "Spartoo is told to accept it.",
    "order.refuse": "Spartoo is told to cancel it.",
    "order.cancel": "Spartoo is told to cancel it.",
    "order.lost": "Spartoo is told that it is lost.",
    "order.undelivered": "Spartoo is told that it was not delivered.",
    "order.retry": "It is tried again.",
    "order.fetch": "It was read from Spartoo.",
}


@PAGES.post("/orders/{connection}/{order_id:[^/]+}/act")
async def act(visit: Visit) -> web.Response:
    """Carry out the command that the pressed button names."""
    command = visit.text("command")
    if command not in DONE:
        raise Complaint(400, "This is no command for an order.")
    fields = _named(visit, command)
    if visit.text("reason"):
        fields["reason"] = visit.text("reason")
    if command == "order.cancel" and visit.text("force"):
        fields["force"] = True
    outcome = await visit.carry_out(fields)
    return _back(visit, outcome, DONE[command], visit.text("tab"))


@PAGES.post("/orders/{connection}/{order_id:[^/]+}/ship")
async def ship(visit: Visit) -> web.Response:
    """One parcel: with all that is left, or with the units given for each line."""
    fields = _named(visit, "order.ship")
    if visit.text("close"):
        return await _closed(visit, fields | {"complete": True})
    async with visit.connection() as conn:
        order = (await opened(visit, conn)).order
    items = _units(visit, order)
    parcel = {
        "tracking_number": visit.text("tracking_number"),
        "shipping_service": visit.text("shipping_service"),
    }
    if items is None:
        fields |= parcel
    else:
        fields["parcels"] = [parcel | {"items": items}]
    outcome = await visit.carry_out(fields)
    if outcome.refused:
        return await show_tab(visit, "shipments", status=409, refused=outcome)
    said = "The parcel is kept; Spartoo is told once every unit is in one."
    if outcome.status == "queued":
        said = "Spartoo is told that it is shipped."
    return _back(visit, outcome, outcome.message or said, "shipments")


async def _closed(visit: Visit, fields: dict[str, Any]) -> web.Response:
    """Close the order with the parcels that have left."""
    outcome = await visit.carry_out(fields)
    if outcome.refused:
        return await show_tab(visit, "shipments", status=409, refused=outcome)
    said = "Spartoo is told that it is shipped; the other units are recorded as not shipped."
    return _back(visit, outcome, outcome.message or said, "shipments")


@PAGES.post("/orders/{connection}/{order_id:[^/]+}/comments")
async def comment(visit: Visit) -> web.Response:
    """Keep a note with the order."""
    text = visit.text("text")
    if not text or len(text) > LONGEST_COMMENT:
        raise Complaint(400, f"A comment has 1 to {LONGEST_COMMENT} characters.")
    async with visit.connection() as conn:
        order = (await opened(visit, conn)).order
        note = Comment(text, visit.text("by")[:100] or BY, visit.parts.clock())
        await comments.add(conn, order.connection, order.id, note)
    return visit.go(order_path(order, "comments"), "The comment is kept.")


@PAGES.post("/orders/{connection}/{order_id:[^/]+}/slip")
async def slip(visit: Visit) -> web.Response:
    """The delivery slip as a file; Spartoo is asked for it once."""
    async with visit.connection() as conn:
        order = (await opened(visit, conn)).order
    parts = visit.parts
    try:
        pdf = await delivery_slip(parts.database, parts.accounts, order, parts.clock)
    except Refused as refused:
        raise Complaint(409, f"{refused.code}: {refused.message}") from refused
    except BudgetSpent as error:
        raise Complaint(503, f"{error}: ask again then.") from error
    except MarketplaceError as error:
        raise Complaint(502, f"Spartoo did not give the slip: {error.message}") from error
    name = quote(f"slip-{order.id}.pdf", safe="")
    return web.Response(
        body=pdf,
        content_type="application/pdf",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


def _named(visit: Visit, command: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "command": command,
        "connection": visit.part("connection"),
        "order_id": visit.part("order_id"),
    }
    if visit.text("id"):
        fields["id"] = visit.text("id")
    return fields


def _units(visit: Visit, order: Order) -> list[dict[str, int]] | None:
    """Units of each line in this parcel; None when it holds all that is left."""
    left = left_to_ship(order.facts.lines, order.shipments)
    given: dict[int, int] = {}
    for line in order.facts.lines:
        text = visit.text(f"line-{line.line}")
        if not text.isascii() or not text.isdigit():
            given[line.line] = left.get(line.line, 0)
        else:
            given[line.line] = int(text[:9])
    wanted = {line: units for line, units in given.items() if units}
    if wanted in ({}, left):
        return None
    return [{"line": line, "quantity": units} for line, units in wanted.items()]


def _back(visit: Visit, outcome: Outcome, said: str, tab: str) -> web.Response:
    """On to the tab it was asked from, with what became of it."""
    tab = "" if tab == "general" else tab
    path = path_of(visit.part("connection"), visit.part("order_id"), tab)
    if outcome.refused:
        return visit.go(path, f"{outcome.code}: {outcome.message}", kind="bad")
    return visit.go(path, said)
