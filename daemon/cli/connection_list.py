"""`spartoo-sync connections list`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import RenderableType

from adapters.postgres import budget, looks
from adapters.postgres import connections as store
from adapters.postgres.connections import Connection
from adapters.postgres.looks import LookState
from daemon.cli.command import Invocation
from daemon.cli.output import cell, show, table
from statemachine.model import ConnectionId

Calls = Mapping[tuple[ConnectionId, str], int]


async def list_connections(invocation: Invocation) -> None:
    """List connections: site, active, suspended and why, last good look, calls left this hour."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        found = await store.list_all(conn)
        looked = await looks.state(conn)
        left = await budget.remaining(conn)
    documents = [_document(connection, looked, left) for connection in found]
    show({"items": documents}, as_json=invocation.as_json, render=lambda: _render(documents))


def _document(connection: Connection, looked: Sequence[LookState], left: Calls) -> dict[str, Any]:
    mine = [state for state in looked if state.connection == connection.id]
    suspended = None
    if connection.suspended_at is not None:
        suspended = {
            "since": connection.suspended_at,
            "reason": connection.suspended_reason,
            "message": connection.suspended_message,
        }
    return {
        "id": connection.id,
        "settings": connection.settings.model_dump(mode="json", exclude={"id"}),
        "has_key": connection.has_key,
        "suspended": suspended,
        "last_good_look_at": _last_good(mine),
        "looks": [_look(state) for state in mine],
        "calls_left": {service: n for (id_, service), n in left.items() if id_ == connection.id},
    }


def _last_good(looked: Sequence[LookState]) -> datetime | None:
    return max((s.succeeded_at for s in looked if s.succeeded_at is not None), default=None)


def _look(state: LookState) -> dict[str, Any]:
    return {
        "look": state.look,
        "due_at": state.due_at,
        "finished_at": state.finished_at,
        "found": state.summary,
        "error": state.error,
    }


def _render(documents: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not documents:
        yield "no connections yet; `spartoo-sync connections add --help` shows how to add one"
        return
    columns = ("id", "site", "active", "key", "state", "last good look", "calls left")
    yield table(columns, [_row(document) for document in documents])


def _row(document: Mapping[str, Any]) -> list[object]:
    settings, suspended = document["settings"], document["suspended"]
    failed = next((look["error"] for look in document["looks"] if look["error"]), None)
    if suspended:
        state = cell(f"suspended: {suspended['reason']}, {suspended['message']}", "red")
    else:
        state = cell(f"last look failed: {failed}", "yellow") if failed else cell("")
    calls = document["calls_left"].items() or [("each service", settings["max_calls_per_hour"])]
    return [
        document["id"],
        f"{settings['marketplace']} {settings['site']}",
        settings["active"],
        document["has_key"],
        state,
        document["last_good_look_at"],
        ", ".join(f"{service} {left}" for service, left in calls),
    ]
