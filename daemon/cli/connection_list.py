"""`spartoo-sync connections list`."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import RenderableType

from adapters.postgres.paging import Page
from daemon.cli.command import Invocation
from daemon.cli.order_list import Cursor, Limit
from daemon.cli.output import cell, show, table
from daemon.connection_health import Health, health_page

_NONE = "no connections yet; `spartoo-sync connections add --help` shows how to add one"


async def list_connections(
    invocation: Invocation,
    *,
    text: Annotated[str | None, typer.Option(help="Those whose id begins so.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List connections: site, active, suspended and why, last good look, calls left this hour."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        page = await health_page(conn, text=text, limit=limit, cursor=cursor)
    document = {"items": [health.document() for health in page.items], "next": page.next_cursor}
    none = f"no connection's id begins with {text}" if text else _NONE
    show(document, as_json=invocation.as_json, render=lambda: _render(page, none))


def _render(page: Page[Health], none: str) -> Iterator[RenderableType]:
    if not page.items:
        yield none
        return
    columns = ("id", "site", "active", "key", "state", "last good look", "calls left")
    yield table(columns, [_row(health) for health in page.items])
    if page.next_cursor:
        yield f"more: --cursor {page.next_cursor}"


def _row(health: Health) -> list[object]:
    connection, settings, failed = health.connection, health.connection.settings, health.failed_look
    if connection.suspended_at is not None:
        why = f"{connection.suspended_reason}, {connection.suspended_message}"
        state = cell(f"suspended: {why}", "red")
    else:
        state = cell(f"last look failed: {failed.error}", "yellow") if failed else cell("")
    calls = health.calls_left.items() or [("each service", settings.max_calls_per_hour)]
    return [
        connection.id,
        f"{settings.marketplace} {settings.site}",
        settings.active,
        connection.has_key,
        state,
        health.last_good_look_at,
        ", ".join(f"{service} {left}" for service, left in calls),
    ]
