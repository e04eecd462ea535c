"""Catalogue files that were uploaded: how far each is, and its unreadable lines."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from adapters.postgres.queries import load
from statemachine.model import CatalogId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("imports")
_KEPT_FOR = timedelta(days=30)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Import:
    """One file; `stopped`: the process that read it is gone."""

    id: UUID
    catalog: CatalogId
    file: str
    bytes: int
    bytes_read: int
    products: int
    changed: int
    bad_lines: int
    asked_by: str
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    stopped: bool

    @property
    def runs(self) -> bool:
        return self.finished_at is None and not self.stopped


async def begin(
    tx: "Tx", import_id: UUID, catalog: CatalogId, file: str, size: int, asked_by: str
) -> None:
    """A file is about to be read; reports of a month ago are forgotten."""
    await tx.execute(_SQL["forget"], _KEPT_FOR)
    await tx.execute(_SQL["begin"], import_id, catalog, file, size, asked_by)


async def note(
    tx: "Tx",
    import_id: UUID,
    bytes_read: int,
    products: int,
    changed: int,
    bad_lines: int,
) -> None:
    """How far it is now."""
    await tx.execute(_SQL["note"], import_id, bytes_read, products, changed, bad_lines)


async def add_errors(tx: "Tx", import_id: UUID, errors: Sequence[tuple[int, str, str]]) -> None:
    """Keep unreadable lines: number, why, how they begin."""
    lines, messages, texts = (list(column) for column in zip(*errors, strict=True))
    await tx.execute(_SQL["add_errors"], import_id, lines, messages, texts)


async def finish(tx: "Tx", import_id: UUID, error: str | None) -> None:
    """It is over; `error` says why before its end."""
    await tx.execute(_SQL["finish"], import_id, error)


async def get(conn: "Conn", import_id: UUID) -> Import | None:
    """One import, as far as it is."""
    row = await conn.fetchrow(_SQL["get"], import_id)
    return None if row is None else Import(**row)


async def recent(conn: "Conn", limit: int) -> list[Import]:
    """The newest imports."""
    return [Import(**row) for row in await conn.fetch(_SQL["recent"], limit)]


async def errors(
    conn: "Conn", import_id: UUID, limit: int | None = None
) -> AsyncIterator[tuple[int, str, str]]:
    """The unreadable lines in their order, read page by page."""
    after, left = 0, limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        rows = await conn.fetch(_SQL["errors"], import_id, after, size)
        for row in rows:
            yield row["line"], row["message"], row["text"]
        if len(rows) < size:
            return
        after, left = rows[-1]["id"], None if left is None else left - size
