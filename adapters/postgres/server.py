"""The server as it is: what it runs, what time it has, what this role may do."""

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("server")


class Server(NamedTuple):
    """`number` is the version as PostgreSQL counts it: 180004 for 18.4."""

    version: str
    number: int
    standby: bool
    now: datetime
    may_create: bool


async def describe(conn: "Conn") -> Server:
    """What the server is."""
    row = await conn.fetchrow(_SQL["describe"])
    if row is None:
        raise LookupError("the server says nothing of itself")
    return Server(**dict(row))


async def lacking_rights(conn: "Conn") -> list[str]:
    """The rights this role lacks on the schema's tables, like `update on orders`."""
    return [row["lacking"] for row in await conn.fetch(_SQL["lacking_rights"])]
