"""Orders: the grid, its filters, and one order fetched by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from adapters.postgres import orders as order_store
from adapters.postgres.words import found_whole
from daemon.console.connection_choice import connection_choice
from daemon.console.order_filters import Filters
from daemon.console.visit import Entry, Pages, Visit
from daemon.reasons import in_words
from statemachine.model import ActionKind, Order, OrderState

PAGES = Pages(Entry("Orders", "/orders"))

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an order waits: for a person, for Spartoo, or with a problem."""

    kind: str  # warn | info | bad
    text: str
    detail: str


@PAGES.get("/")
async def home(visit: Visit) -> web.Response:
    """The console opens with the orders."""
    return visit.go("/orders")


@PAGES.get("/orders")
async def grid(visit: Visit) -> web.Response:
    """The grid, newest first."""
    filters = Filters.read(visit)
    async with visit.connection() as conn:
        page = await order_store.page(
            conn,
            **filters.criteria(),
            limit=PAGE_SIZE,
            cursor=visit.text("cursor") or None,
        )
        known = await connection_choice(conn)
    values: dict[str, Any] = {
        "filters": filters,
        "orders": page.items,
        "connections": known,
        "short": found_whole(filters.text),
        "states": list(OrderState),
        "reasons": reasons,
        "order_path": order_path,
        "first": filters.address(visit) if visit.text("cursor") else None,
        "next": page.next_cursor and filters.address(visit, page.next_cursor),
    }
    return await visit.page("orders/grid.html", title="Orders", **values)


@PAGES.post("/orders")
async def search(visit: Visit) -> web.Response:
    """The filter form: on to the address of what was chosen, its text sealed."""
    return visit.go(Filters.read(visit).address(visit))


@PAGES.post("/orders/fetch")
async def fetch(visit: Visit) -> web.Response:
    """Read one order from Spartoo now, by its id."""
    connection, order_id = visit.text("connection"), visit.text("order_id")
    fields = {"command": "order.fetch", "connection": connection, "order_id": order_id}
    outcome = await visit.carry_out(fields | {"id": visit.text("id")})
    if outcome.refused:
        return visit.go("/orders", f"{outcome.code}: {outcome.message}", kind="bad")
    if outcome.status == "queued":
        return visit.go("/orders", "Spartoo takes its time: the order comes by itself.")
    return visit.go(path_of(connection, order_id))


def path_of(connection: str, order_id: str, tab: str = "") -> str:
    """The address of an order's page, or of one of its tabs."""
    names = (connection, order_id, tab) if tab else (connection, order_id)
    return "/orders/" + "/".join(quote(name, safe="") for name in names)


def order_path(order: Order, tab: str = "") -> str:
    """As `path_of`."""
    return path_of(order.connection, order.id, tab)


def reasons(order: Order) -> Sequence[Reason]:
    """Why it waits; nothing when it does not."""
    found = []
    if order.problem is not None:
        found.append(Reason("bad", order.problem.code.replace("_", " "), order.problem.message))
    for kind in ActionKind:
        if order.waits_for(kind):
            said = kind.replace("_", " ")
            found.append(Reason("info", f"Spartoo: {said}", "stored, to be carried out by Spartoo"))
    if order.state is OrderState.PENDING_MANUAL and order.decision is not None:
        codes = order.decision.reasons
        for code, words in zip(codes, in_words(codes), strict=True):
            found.append(Reason("warn", code.replace("_", " "), words))
    return found
