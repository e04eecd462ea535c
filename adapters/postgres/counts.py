"""How many orders and returns stand where, known without counting them."""

from typing import TYPE_CHECKING, Literal

from adapters.postgres.queries import load
from statemachine.model import ConnectionId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn

_SQL = load("counts")


async def by_state(
    conn: "Conn", kind: Literal["orders", "returns"]
) -> dict[tuple[ConnectionId, str], int]:
    """By connection and state, exact at this moment."""
    found = await conn.fetch(_SQL["by_state"], kind)
    return {(row["connection"], row["state"]): row["records"] for row in found}


async def fold(conn: "Conn") -> None:
    """Take the notes of writers into the counts, so that there are few to add up."""
    await conn.execute(_SQL["fold"])
