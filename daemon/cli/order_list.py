"""`spartoo-sync orders list`."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from adapters.postgres import connections
from adapters.postgres import orders as order_store
from adapters.postgres.paging import Page
from adapters.postgres.words import found_whole
from daemon.cli.asking import known_connection
from daemon.cli.command import Invocation
from daemon.cli.connection_names import OfConnection
from daemon.cli.output import cell, note, plain, show, table
from daemon.cli.times import From, To
from statemachine.events import order_document
from statemachine.model import ConnectionId, Order, OrderState

STYLES = {
    OrderState.NEW: "blue",
    OrderState.PENDING_MANUAL: "yellow",
    OrderState.ACCEPTED: "cyan",
    OrderState.SYNCED: "green",
    OrderState.CANCELLED: "dim",
}
_COLUMNS = ("connection", "order", "state", "placed", "total", "customer", "waits for")

Limit = Annotated[int, typer.Option(min=1, max=200, help="Rows of a page.")]
Cursor = Annotated[
    str | None, typer.Option(help="Where the page before ended, as it said.", show_default=False)
]


async def list_orders(
    invocation: Invocation,
    *,
    connection: OfConnection = None,
    state: Annotated[OrderState | None, typer.Option(help="In this state only.")] = None,
    attention: Annotated[
        bool, typer.Option("--attention", help="Only those with a problem a person must look at.")
    ] = False,
    text: Annotated[
        str | None,
        typer.Option(
            help="Words of a customer's name, an order id, a reference or an e-mail address; "
            "the last may be begun, from three characters on."
        ),
    ] = None,
    since: From = None,
    until: To = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List orders, newest first."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        if connection is not None:
            await known_connection(conn, connection)
        page = await order_store.page(
            conn,
            connection=ConnectionId(connection) if connection else None,
            state=state,
            text=text,
            since=since,
            until=until,
            attention=attention or None,
            limit=limit,
            cursor=cursor,
        )
        settings = await connections.settings_of(conn, [order.connection for order in page.items])
    documents = [
        order_document(order, settings[order.connection]) | {"problem": order.problem}
        for order in page.items
    ]
    document = {"items": documents, "next": page.next_cursor}
    show(document, as_json=invocation.as_json, render=lambda: _render(page))
    if short := found_whole(text or ""):
        note(f"{short!r} was looked for as a whole word: begin one with three letters or more")


def _render(page: Page[Order]) -> Iterator[RenderableType]:
    if not page.items:
        yield "no orders"
        return
    yield table(_COLUMNS, [_row(order) for order in page.items])
    if page.next_cursor:
        yield f"more: --cursor {page.next_cursor}"


def _row(order: Order) -> Sequence[object]:
    customer = order.facts.customer
    name = f"{customer.first_name} {customer.last_name}".strip() or customer.company
    return (
        order.connection,
        order.id,
        state_cell(order.state),
        order.facts.purchased_at,
        money(order.facts.total, order.facts.currency),
        name,
        _waits_for(order),
    )


def state_cell(state: OrderState) -> Text:
    """The state in its colour."""
    return cell(state, STYLES.get(state, ""))


def money(amount: Any, currency: str) -> str:
    """An amount as the marketplace wrote it, and its currency."""
    return "" if amount is None else f"{amount} {currency}"


def _waits_for(order: Order) -> Text:
    if order.problem is not None:
        return Text(plain(f"attention: {order.problem.message}"), style="red")
    waiting = [kind for kind in order.actions if order.waits_for(kind)]
    if waiting:
        return cell(f"Spartoo: {', '.join(waiting)}")
    if order.state is OrderState.PENDING_MANUAL and order.decision is not None:
        return cell(", ".join(order.decision.reasons))
    return cell("")
