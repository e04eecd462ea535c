"""Choosing a connection in a form: from a list while they are few, else by typing its id."""

from dataclasses import dataclass

from adapters.postgres import connections
from adapters.postgres.database import Conn
from statemachine.model import ConnectionId

MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Choice:
    """The connections there are by id; `listed`: these are all."""

    ids: tuple[ConnectionId, ...]
    listed: bool
    any_active: bool


async def connection_choice(conn: Conn) -> Choice:
    """What a form offers."""
    found = await connections.names(conn, MOST_LISTED + 1)
    return Choice(tuple(found), len(found) <= MOST_LISTED, any(found.values()))
