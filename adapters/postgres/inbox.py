"""Commands that were answered, by id: a second delivery gets the same answer."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from adapters.postgres.queries import load

if TYPE_CHECKING:
    from adapters.postgres.database import Tx

_SQL = load("inbox")


async def seen(tx: "Tx", ids: Collection[str]) -> dict[str, bytes]:
    """The replies given before; the other ids are ours until the transaction ends."""
    await tx.execute(_SQL["lock"], list(ids))
    return {row["id"]: row["reply"] for row in await tx.fetch(_SQL["seen"], list(ids))}


async def keep(tx: "Tx", answered: Sequence[tuple[str, str, bytes, bytes]]) -> None:
    """Remember commands: id, name, body (JSON) and reply (JSON)."""
    await tx.execute(_SQL["keep"], *map(list, zip(*answered, strict=True)))
