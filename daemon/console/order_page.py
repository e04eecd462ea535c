"""One order: a page with Koongo's tabs, the decision, the history and the state diagram."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiohttp import web

from adapters.postgres import actions, comments, communications, connections
from adapters.postgres import orders as order_store
from adapters.postgres import returns as return_store
from adapters.postgres.connections import Connection
from adapters.postgres.database import Conn
from daemon.console.order_diagram import diagram
from daemon.console.orders import order_path
from daemon.console.visit import Complaint, Outcome, Pages, Visit
from daemon.reasons import in_words
from daemon.slips import WITHOUT_SLIP
from statemachine.events import order_document
from statemachine.model import Check, ConnectionId, Order, OrderId, Return, ReturnState
from statemachine.possible import possible
from statemachine.shipping import known_services, left_to_ship, units_shipped

PAGES = Pages()

MOST_COMMUNICATIONS = 500


@dataclass(frozen=True, slots=True)
class Opened:
    """An order, and what every tab of it shows."""

    order: Order
    connection: Connection
    returns: Sequence[Return]


async def opened(visit: Visit, conn: Conn) -> Opened:
    """The order the address names. Raises Complaint."""
    connection_id = ConnectionId(visit.part("connection"))
    order_id = OrderId(visit.part("order_id"))
    found = await order_store.find(conn, order_id, connection_id)
    if not found:
        raise Complaint(
            404,
            f"There is no order {order_id} of {connection_id} here. If Spartoo has it, fetch it"
            " from the list of orders.",
        )
    return Opened(
        found[0],
        await connections.get(conn, connection_id),
        await return_store.of_order(conn, connection_id, order_id),
    )


Values = dict[str, Any]
More = Callable[[Conn, Opened], Awaitable[Values]]


async def _nothing(_: Conn, __: Opened) -> Values:
    return {}


async def _address(_: Conn, opened: Opened) -> Values:
    document = order_document(opened.order, opened.connection.settings)
    return {"shipping": document["shipping_address"]}


async def _items(_: Conn, opened: Opened) -> Values:
    decision = opened.order.decision
    checks: dict[int, list[Check]] = {}
    for check in decision.checks if decision else ():
        checks.setdefault(check.line, []).append(check)
    return {"checks": checks}


async def _shipments(conn: Conn, opened: Opened) -> Values:
    order, settings = opened.order, opened.connection.settings
    learnt = await order_store.shipping_services(conn, order.connection)
    return {
        "services": known_services(settings, learnt),
        "units": units_shipped(order),
        "left": left_to_ship(order.facts.lines, order.shipments),
        "slip": order.state not in WITHOUT_SLIP,
    }


async def _refunds(conn: Conn, opened: Opened) -> Values:
    """What the returns gave back: the price paid for the item each holds."""
    paid = []
    for returned in opened.returns:
        if returned.state in {ReturnState.PAID, ReturnState.REFUNDED}:
            moves = await return_store.history(conn, returned.connection, returned.id)
            paid.append((returned, _price(opened.order, returned), moves[-1].at))
    total = sum((price for _, price, _ in paid if price is not None), Decimal(0))
    return {"paid": paid, "total": total}


def _price(order: Order, returned: Return) -> Decimal | None:
    item = returned.facts.item
    for line in order.facts.lines:
        if item.reference and item.reference in {line.reference, line.size_reference}:
            return line.unit_price_discounted
    return None


async def _comments(conn: Conn, opened: Opened) -> Values:
    order = opened.order
    return {"comments": await comments.of_order(conn, order.connection, order.id)}


async def _communications(conn: Conn, opened: Opened) -> Values:
    order = opened.order
    found = await communications.of_order(conn, order.connection, order.id, MOST_COMMUNICATIONS)
    return {
        "communications": found[::-1],
        "actions": await actions.find(conn, order.connection, order.id),
        "most": MOST_COMMUNICATIONS,
    }


async def _decision(_: Conn, opened: Opened) -> Values:
    decision = opened.order.decision
    codes = decision.reasons if decision else ()
    return {"reasons": list(zip(codes, in_words(codes), strict=True))}


TABS: dict[str, More] = {
    "general": _nothing,
    "address": _address,
    "items": _items,
    "shipments": _shipments,
    "returns": _nothing,
    "refunds": _refunds,
    "comments": _comments,
    "communications": _communications,
    "decision": _decision,
}


@PAGES.get("/orders/{connection}/{order_id:[^/]+}")
async def general(visit: Visit) -> web.Response:
    """The order's first tab."""
    return await show_tab(visit, "general")


@PAGES.get("/orders/{connection}/{order_id:[^/]+}/{tab}")
async def tab(visit: Visit) -> web.Response:
    """One tab of the order."""
    name = visit.part("tab")
    if name not in TABS:
        raise Complaint(404, f"An order has no tab {name}.")
    return await show_tab(visit, name)


async def show_tab(
    visit: Visit, name: str, *, status: int = 200, refused: Outcome | None = None
) -> web.Response:
    """One tab; `refused` is what became of its form, whose fields keep what was typed."""
    async with visit.connection() as conn:
        found = await opened(visit, conn)
        order = found.order
        history = await order_store.history(conn, order.connection, order.id)
        noted = len(await comments.of_order(conn, order.connection, order.id))
        values = await TABS[name](conn, found)
    counts = {"items": len(order.facts.lines), "shipments": len(order.shipments)}
    counts |= {"returns": len(found.returns), "comments": noted}
    tabs = [
        (tab.capitalize(), order_path(order, tab if tab != "general" else ""), counts.get(tab))
        for tab in TABS
    ]
    return await visit.page(
        f"orders/tabs/{name}.html",
        title=f"Order {order.id}",
        status=status,
        refused=refused,
        order=order,
        settings=found.connection.settings,
        returns=found.returns,
        history=history,
        tabs=tabs,
        tab=name,
        here=order_path(order),
        possible=possible(order, found.connection.settings),
        diagram=diagram(order.state, history),
        **values,
    )
