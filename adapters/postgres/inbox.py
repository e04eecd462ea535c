"""Commands that were answered, by id: a second delivery gets the same answer."""

from typing import TYPE_CHECKING

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Tx

_SQL = load("inbox")


async def seen(tx: "Tx", command_id: str) -> bytes | None:
    """The reply given before; None leaves the id to us until the transaction ends."""
    await tx.execute(_SQL["lock"], command_id)
    reply: bytes | None = await tx.fetchval(_SQL["seen"], command_id)
    return reply


async def keep(tx: "Tx", command_id: str, command: str, body: bytes, reply: bytes) -> None:
    """Remember a command (JSON) and its reply (JSON)."""
    await tx.execute(_SQL["keep"], command_id, command, body, reply)
