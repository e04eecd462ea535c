"""Commands that were answered, by id: a second delivery gets the same answer."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Tx

_SQL = load("inbox")


class Answered(NamedTuple):
    """A command (JSON) and the reply it was given (JSON)."""

    body: bytes
    reply: bytes


async def seen(tx: "Tx", ids: Collection[str]) -> dict[str, Answered]:
    """What was answered before; the other ids are ours until the transaction ends."""
    await tx.execute(_SQL["lock"], list(ids))
    found = await tx.fetch(_SQL["seen"], list(ids))
    return {row["id"]: Answered(row["body"], row["reply"]) for row in found}


async def keep(tx: "Tx", answered: Sequence[tuple[str, str, bytes, bytes]]) -> None:
    """Remember commands: id, name, body (JSON) and reply (JSON)."""
    await tx.execute(_SQL["keep"], *map(list, zip(*answered, strict=True)))
