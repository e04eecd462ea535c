"""Orders: found, opened, and what may be asked of them."""

from aiohttp import web
from pydantic import Field

from adapters.postgres import connections
from adapters.postgres import orders as store
from adapters.postgres.database import Conn
from daemon.api.commands import command
from daemon.api.filters import Begin, End, OfConnection, OrderNamed, PageWanted, known_connection
from daemon.api.routes import Answer, Asked, Routes
from daemon.api.shapes import Listed, OrderDocument, answer, list_of
from daemon.command_fields import Text
from daemon.command_messages import (
    OrderAcknowledge,
    OrderCancel,
    OrderDecision,
    OrderFetch,
    OrderShip,
)
from daemon.order_details import details_document, order_details
from daemon.slips import delivery_slip
from statemachine.events import order_document
from statemachine.facts import Refused
from statemachine.model import ConnectionId, Order, OrderId, OrderState

routes = Routes()

_ORDER = "/orders/{connection}/{order_id}"


class OrdersWanted(OfConnection, PageWanted):
    state: OrderState | None = Field(None, description="In this state only")
    q: Text | None = Field(
        None,
        description="Words of a customer's name, an order id, a reference or an e-mail address;"
        " the last may be begun, from three characters on; a shorter one is found whole",
    )
    since: Begin | None = Field(None, alias="from", description="Placed from then on")
    until: End | None = Field(
        None, alias="to", description="Placed before, or until that day's end"
    )
    attention: bool | None = Field(None, description="With a problem a person must look at, or not")


@routes.add("GET", "/orders", OrdersWanted, {200: Answer("Newest first", list_of(Listed))})
async def list_orders(asked: Asked, wanted: OrdersWanted) -> web.Response:
    """Find orders."""
    async with asked.parts.database.connection() as conn:
        only = await known_connection(conn, wanted.connection)
        page = await store.page(
            conn,
            connection=only,
            state=wanted.state,
            text=wanted.q,
            since=wanted.since,
            until=wanted.until,
            attention=wanted.attention,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )
        settings = await connections.settings_of(conn, [order.connection for order in page.items])
    items = [
        order_document(order, settings[order.connection]) | {"problem": order.problem}
        for order in page.items
    ]
    return answer({"items": items, "next": page.next_cursor})


@routes.add("GET", _ORDER, OrderNamed, {200: Answer("The order", OrderDocument)})
async def show_order(asked: Asked, named: OrderNamed) -> web.Response:
    """Open an order: its decision, history, actions, returns, events and communications."""
    async with asked.parts.database.connection() as conn:
        details = await order_details(conn, await _find(conn, named))
    return answer(details_document(details))


@routes.add(
    "GET",
    f"{_ORDER}/slip",
    OrderNamed,
    {200: Answer("The PDF", {"type": "string"}, content_type="application/pdf")},
)
async def save_slip(asked: Asked, named: OrderNamed) -> web.Response:
    """Get the delivery slip for the parcel; Spartoo is asked for it once."""
    parts = asked.parts
    async with parts.database.connection() as conn:
        order = await _find(conn, named)
    pdf = await delivery_slip(parts.database, parts.accounts, order, parts.clock)
    headers = {"Content-Disposition": "attachment"}
    return web.Response(body=pdf, content_type="application/pdf", headers=headers)


async def _find(conn: Conn, named: OrderNamed) -> Order:
    connection, order_id = ConnectionId(named.connection), OrderId(named.order_id)
    await connections.get(conn, connection)
    found = await store.find(conn, order_id, connection)
    if not found:
        why = f"connection {connection} has no order {order_id}; POST …/fetch reads it from Spartoo"
        raise Refused("unknown_order", why)
    return found[0]


_DECISIONS: dict[str, str] = {
    "accept": "Accept a pending order",
    "refuse": "Refuse a pending order: cancels it",
    "lost": "Say that the carrier lost it",
    "undelivered": "Say that it came back",
    "retry": "Take up what stopped at a problem",
}
for _name, _summary in _DECISIONS.items():
    command(routes, "POST", f"{_ORDER}/{_name}", OrderDecision, f"order.{_name}", _summary)
command(routes, "POST", f"{_ORDER}/cancel", OrderCancel, "order.cancel", "Cancel an order")
command(
    routes, "POST", f"{_ORDER}/ship", OrderShip, "order.ship",
    "Say that it is with the carrier, in one parcel or several",
)  # fmt: skip
command(
    routes, "POST", f"{_ORDER}/acknowledge", OrderAcknowledge, "order.acknowledge",
    "Say that the store has the order",
)  # fmt: skip
command(
    routes, "POST", f"{_ORDER}/fetch", OrderFetch, "order.fetch",
    "Read this order from Spartoo now; queued if that takes over 30 seconds",
)  # fmt: skip
