"""A file of products into the database, batch by batch, with a report of what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from adapters.catalog import LineError, read_catalog
from adapters.postgres import clock
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import PostgresError
from daemon.products import upsert_products
from daemon.transactions import in_transaction
from statemachine.facts import Refused
from statemachine.model import CatalogId, ProductUpdate

AfterBatch = Callable[[Sequence[LineError]], Awaitable[None]]  # given those of the batch

_BATCH = 500
_SHOWN_ERRORS = 20


@dataclass(slots=True)
class Imported:
    """What became of a file up to now: products kept (of them changed), and unreadable lines."""

    products: int = 0
    changed: int = 0
    bad_lines: int = 0
    first_errors: list[LineError] = field(default_factory=list)

    def note_errors(self, errors: Sequence[LineError]) -> None:
        """Count them; keep the first."""
        self.bad_lines += len(errors)
        self.first_errors += errors[: _SHOWN_ERRORS - len(self.first_errors)]


async def import_file(
    database: Database,
    catalog: CatalogId,
    file: Path,
    imported: Imported,
    *,
    progress: Callable[[int], None] | None = None,
    after_batch: AfterBatch | None = None,
) -> None:
    """Store the file's products, a batch a transaction; `imported` counts what is kept meanwhile.

    Raises UnreadableCatalog, nothing kept; Refused `import_stopped` when the database went away.
    """
    items = read_catalog(file, progress)
    while batch := await asyncio.to_thread(_take, items):
        errors = [item for item in batch if isinstance(item, LineError)]
        products = [item for item in batch if not isinstance(item, LineError)]
        try:
            imported.changed += await _store(database, catalog, products)
            imported.products += len(products)
            imported.note_errors(errors)
            if after_batch is not None:
                await after_batch(errors)
        except PostgresError as error:
            kept = f"{imported.products} products are kept; import the file again to go on"
            raise Refused("import_stopped", f"{error}; {kept}") from error


def _take(items: Iterator[ProductUpdate | LineError]) -> list[ProductUpdate | LineError]:
    """The next batch, read in a thread of its own: a long file must not hold up the daemon."""
    return list(islice(items, _BATCH))


async def _store(database: Database, catalog: CatalogId, products: list[ProductUpdate]) -> int:
    async def store(tx: Tx) -> int:
        return await upsert_products(tx, catalog, products, await clock.now(tx))

    return await in_transaction(database, store) if products else 0
