"""`spartoo-sync connections list`."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from daemon.cli.command import Invocation
from daemon.cli.output import cell, show, table
from daemon.connection_health import Health, every_health


async def list_connections(invocation: Invocation) -> None:
    """List connections: site, active, suspended and why, last good look, calls left this hour."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        found = await every_health(conn)
    document = {"items": [health.document() for health in found]}
    show(document, as_json=invocation.as_json, render=lambda: _render(found))


def _render(found: Sequence[Health]) -> Iterator[RenderableType]:
    if not found:
        yield "no connections yet; `spartoo-sync connections add --help` shows how to add one"
        return
    columns = ("id", "site", "active", "key", "state", "last good look", "calls left")
    yield table(columns, [_row(health) for health in found])


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
