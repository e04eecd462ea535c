"""Catalogue files that were uploaded: how far each is, and its unreadable lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from adapters.postgres.queries import load
from statemachine.model import CatalogId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("imports")
_KEPT_FOR = timedelta(days=30)


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


class BadLine(NamedTuple):
    """One line that could not be read; `text` is how it begins."""

    id: int
    line: int
    message: str
    text: str


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


async def errors(conn: "Conn", import_id: UUID, after: int = 0, limit: int = 1000) -> list[BadLine]:
    """Unreadable lines in their order, those behind the id `after`."""
    return [BadLine(*row) for row in await conn.fetch(_SQL["errors"], import_id, after, limit)]
