"""How each connection stands: its looks, the calls left this hour, suspended and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.postgres import budget, connections, looks
from adapters.postgres.connections import Connection
from adapters.postgres.database import Conn
from adapters.postgres.looks import LookState
from adapters.postgres.paging import Page
from statemachine.model import ConnectionId


@dataclass(frozen=True, slots=True)
class Health:
    """One connection and how it stands."""

    connection: Connection
    looks: tuple[LookState, ...]
    calls_left: Mapping[str, int]  # of services called in this hour; the others have all

    @property
    def last_good_look_at(self) -> datetime | None:
        """When Spartoo last answered a look."""
        good = [look.succeeded_at for look in self.looks if look.succeeded_at is not None]
        return max(good, default=None)

    @property
    def failed_look(self) -> LookState | None:
        """A look that did not succeed last time."""
        return next((look for look in self.looks if look.error is not None), None)

    def look(self, kind: str) -> LookState | None:
        """One of its looks; None before it was ever to be made."""
        return next((look for look in self.looks if look.look == kind), None)

    def document(self) -> dict[str, Any]:
        """All of it but the key, for programs."""
        connection = self.connection
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
            "last_good_look_at": self.last_good_look_at,
            "looks": [_look(state) for state in self.looks],
            "calls_left": dict(self.calls_left),
        }


async def health_page(
    conn: Conn, *, text: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Health]:
    """Connections by id, those whose id begins with `text`. Raises BadCursor."""
    found = await connections.page(conn, text=text, limit=limit, cursor=cursor)
    ids = [connection.id for connection in found.items]
    return Page(await _healths(conn, found.items, ids), found.next_cursor)


async def health_of(conn: Conn, connection: ConnectionId) -> Health:
    """One connection. Raises UnknownConnection."""
    found = await connections.get(conn, connection)
    return (await _healths(conn, [found], [connection]))[0]


async def _healths(
    conn: Conn, found: Sequence[Connection], ids: Sequence[ConnectionId]
) -> list[Health]:
    """How these, of these ids, stand."""
    if not ids:
        return []
    looked: dict[ConnectionId, list[LookState]] = {}
    for state in await looks.state(conn, *ids):
        looked.setdefault(state.connection, []).append(state)
    left: dict[ConnectionId, dict[str, int]] = {}
    for (connection_id, service), calls in (await budget.remaining(conn, *ids)).items():
        left.setdefault(connection_id, {})[service] = calls
    return [Health(c, tuple(looked.get(c.id, ())), left.get(c.id, {})) for c in found]


def _look(state: LookState) -> dict[str, Any]:
    return {
        "look": state.look,
        "due_at": state.due_at,
        "finished_at": state.finished_at,
        "found": state.summary,
        "error": state.error,
    }
