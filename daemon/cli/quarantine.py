"""`spartoo-sync quarantine`: orders and returns that cannot be read."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from adapters.postgres import quarantine as store
from adapters.postgres.database import Conn
from adapters.postgres.paging import Page
from adapters.postgres.quarantine import Quarantined
from daemon.cli.asking import NO_DAEMON, asked_by, daemon_runs, known_connection
from daemon.cli.command import Invocation, command
from daemon.cli.order_list import Cursor, Limit
from daemon.cli.order_names import OrderName
from daemon.cli.output import facts, note, plain, print_json, show, table
from daemon.quarantine import FOUND_BY_LOOKS, read_again
from statemachine.facts import Refused
from statemachine.model import ConnectionId

group = typer.Typer(
    name="quarantine",
    help="Orders and returns that cannot be read: kept with their XML and the reason, tried again.",
    no_args_is_help=True,
)


@command(group, "list")
async def list_entries(
    invocation: Invocation,
    connection: Annotated[str | None, typer.Option(help="Of this connection only.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List orders in quarantine."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        if connection is not None:
            await known_connection(conn, connection)
        wanted = ConnectionId(connection) if connection else None
        page = await store.page(conn, connection=wanted, limit=limit, cursor=cursor)
    document = {"items": [_document(entry) for entry in page.items], "next": page.next_cursor}
    show(document, as_json=invocation.as_json, render=lambda: _render(page))


def _document(entry: Quarantined) -> dict[str, Any]:
    return {
        "connection": entry.connection,
        "order_id": entry.order_id,
        "error": entry.error,
        "first_seen_at": entry.first_seen_at,
        "last_seen_at": entry.last_seen_at,
    }


def _render(page: Page[Quarantined]) -> Iterator[RenderableType]:
    if not page.items:
        yield "no orders in quarantine"
        return
    yield table(
        ("connection", "order", "error", "first seen", "last seen"),
        [(*_document(entry).values(),) for entry in page.items],
    )
    if page.next_cursor:
        yield f"more: --cursor {page.next_cursor}"


@command(group, "show")
async def show_entry(invocation: Invocation, name: OrderName) -> None:
    """Show an order's XML as Spartoo sent it, and why it cannot be read."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        entry = await _find(conn, name)
    xml = entry.xml.decode("utf-8", "replace")
    document = _document(entry) | {"xml": xml}
    show(
        document,
        as_json=invocation.as_json,
        render=lambda: [facts(_document(entry).items()), Text(plain(xml))],
    )


@command(group, "retry")
async def retry(invocation: Invocation, name: OrderName) -> None:
    """Read it again: fetched now where its id is known, else when it is next seen."""
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            entry = await _find(conn, name)
        await read_again(parts.database, entry, asked_by())
        await _tell(invocation, entry, runs=await daemon_runs(parts))


async def _tell(invocation: Invocation, entry: Quarantined, *, runs: bool) -> None:
    fetched = not entry.order_id.startswith(FOUND_BY_LOOKS)
    if invocation.as_json:
        about = {"connection": entry.connection, "order_id": entry.order_id}
        print_json({**about, "status": "queued", "fetch": fetched})
    elif fetched:
        note(f"{entry.connection} {entry.order_id}: is read from Spartoo again")
    else:
        note(f"{entry.connection} {entry.order_id}: is read again by the look that next finds it")
    if not runs:
        note(NO_DAEMON)


async def _find(conn: Conn, name: Sequence[str]) -> Quarantined:
    """The entry named `ORDER` or `CONNECTION ORDER`. Raises Refused: unknown or ambiguous."""
    key, connection = name[-1], name[0] if len(name) > 1 else None
    if connection is not None:
        await known_connection(conn, connection)
    found = await store.get(conn, key, ConnectionId(connection) if connection else None)
    if len(found) > 1:
        holders = " and ".join(entry.connection for entry in found)
        message = f"{holders} both have {key} in quarantine; name the connection before it"
        raise Refused("ambiguous_order", message)
    if not found:
        raise Refused(
            "unknown_order",
            f"no order {key} in quarantine; `spartoo-sync quarantine list` names those there are",
        )
    return found[0]
