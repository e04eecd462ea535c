"""`spartoo-sync returns list`."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from adapters.postgres import returns as return_store
from adapters.postgres.paging import Page
from daemon.cli.asking import known_connection
from daemon.cli.command import Invocation
from daemon.cli.connection_names import OfConnection
from daemon.cli.order_list import Cursor, Limit
from daemon.cli.output import cell, plain, show, table
from statemachine.model import ConnectionId, Return, ReturnState
from statemachine.return_events import return_document

_STYLES = {
    ReturnState.REQUESTED: "yellow",
    ReturnState.ACCEPTED: "green",
    ReturnState.REFUSED: "red",
    ReturnState.REFUNDED: "dim",
}
_COLUMNS = ("connection", "return", "order", "state", "requested", "item", "reason", "waits for")


async def list_returns(
    invocation: Invocation,
    *,
    connection: OfConnection = None,
    state: Annotated[ReturnState | None, typer.Option(help="In this state only.")] = None,
    order: Annotated[str | None, typer.Option(help="Of the order with this id only.")] = None,
    attention: Annotated[
        bool, typer.Option("--attention", help="Only those with a problem a person must look at.")
    ] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List returns, newest first."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        if connection is not None:
            await known_connection(conn, connection)
        page = await return_store.page(
            conn,
            connection=ConnectionId(connection) if connection else None,
            state=state,
            order_id=order,
            attention=attention or None,
            limit=limit,
            cursor=cursor,
        )
    items = [return_document(found) | {"problem": found.problem} for found in page.items]
    document = {"items": items, "next": page.next_cursor}
    show(document, as_json=invocation.as_json, render=lambda: _render(page))


def _render(page: Page[Return]) -> Iterator[RenderableType]:
    if not page.items:
        yield "no returns"
        return
    yield return_table(page.items)
    if page.next_cursor:
        yield f"more: --cursor {page.next_cursor}"


def return_table(returns: Sequence[Return]) -> Table:
    """One row a return."""
    return table(_COLUMNS, [_row(returned) for returned in returns])


def _row(returned: Return) -> Sequence[object]:
    facts = returned.facts
    return (
        returned.connection,
        returned.id,
        facts.order_id,
        return_state_cell(returned.state),
        facts.requested_at,
        item_in_words(returned),
        facts.reason,
        _waits_for(returned),
    )


def item_in_words(returned: Return) -> str:
    """What comes back, as a person would name it."""
    item = returned.facts.item
    parts = (item.reference, item.brand, item.name, item.size, item.color)
    return " ".join(part for part in parts if part)


def return_state_cell(state: ReturnState) -> Text:
    """The state in its colour."""
    return cell(state, _STYLES.get(state, ""))


def _waits_for(returned: Return) -> Text:
    if returned.problem is not None:
        return Text(plain(f"attention: {returned.problem.message}"), style="red")
    waiting = [kind for kind in returned.actions if returned.waits_for(kind)]
    return cell(f"Spartoo: {', '.join(waiting)}" if waiting else "")
