"""Commands that were answered, by id: a second delivery gets the same answer."""

from typing import TYPE_CHECKING, NamedTuple

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Tx

_SQL = load("inbox")


class Answered(NamedTuple):
    """A command (JSON) and the reply it was given (JSON)."""

    body: bytes
    reply: bytes


async def seen(tx: "Tx", command_id: str) -> Answered | None:
    """What was answered before; None leaves the id to us until the transaction ends."""
    await tx.execute(_SQL["lock"], command_id)
    row = await tx.fetchrow(_SQL["seen"], command_id)
    return None if row is None else Answered(**row)


async def keep(tx: "Tx", command_id: str, command: str, body: bytes, reply: bytes) -> None:
    """Remember a command (JSON) and its reply (JSON)."""
    await tx.execute(_SQL["keep"], command_id, command, body, reply)
