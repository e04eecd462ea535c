"""`spartoo-sync catalog import`: a file of products into the database, batch by batch."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.catalog import LineError, read_catalog
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import PostgresError
from daemon.cli.catalog_names import CatalogName
from daemon.cli.command import Invocation
from daemon.cli.output import console, note, print_json
from daemon.clock import utc_now
from daemon.products import upsert_products
from daemon.transactions import in_transaction
from statemachine.facts import Refused
from statemachine.model import CatalogId, ProductUpdate

_BATCH = 500
_SHOWN_ERRORS = 20


@dataclass(slots=True)
class Imported:
    """What became of a file: products read (of them changed), and lines that could not be."""

    products: int = 0
    changed: int = 0
    bad_lines: int = 0
    first_errors: list[LineError] = field(default_factory=list)

    def note_error(self, error: LineError) -> None:
        """Count it; keep it if it is among the first."""
        self.bad_lines += 1
        if len(self.first_errors) < _SHOWN_ERRORS:
            self.first_errors.append(error)


async def import_catalog(
    invocation: Invocation,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSON Lines (.jsonl), XML: by suffix.")
    ],
    catalog: CatalogName = "default",
    errors: Annotated[
        Path | None,
        typer.Option("--errors", metavar="FILE", help="Write every unreadable line there."),
    ] = None,
) -> None:
    """Take in products: columns as the fields of catalog.upsert, attributes as attributes.NAME.

    What a line leaves out stays as it is. Lines that cannot be read are reported with their
    number, the others are kept. Importing a file again changes nothing more.
    """
    imported = Imported()
    async with invocation.parts() as parts:
        with _progress(file) as told, _error_file(errors) as written:
            items = _readable(read_catalog(file, told), imported, written)
            try:
                await store_products(parts.database, CatalogId(catalog), items, imported)
            except PostgresError as error:
                kept = f"{imported.products} products are kept; import the file again to go on"
                raise Refused("import_stopped", f"{file}: {error}; {kept}") from error
    _tell(invocation, file, imported, errors)


async def store_products(
    database: Database,
    catalog: CatalogId,
    products: Iterable[ProductUpdate],
    imported: Imported,
) -> None:
    """Store products, a batch a transaction; counts what is kept. Raises PostgresError."""
    batch: list[ProductUpdate] = []

    async def store(tx: Tx) -> int:
        return await upsert_products(tx, catalog, batch, utc_now())

    for product in products:
        batch.append(product)
        if len(batch) == _BATCH:
            imported.changed += await in_transaction(database, store)
            imported.products += len(batch)
            batch.clear()
    if batch:
        imported.changed += await in_transaction(database, store)
        imported.products += len(batch)


def _readable(
    items: Iterable[ProductUpdate | LineError], imported: Imported, written: TextIO | None
) -> Iterator[ProductUpdate]:
    """The products among the items; errors are noted and written down."""
    for item in items:
        if isinstance(item, LineError):
            imported.note_error(item)
            if written is not None:
                written.write(f"line {item.line}: {item.message}: {item.text}\n")
        else:
            yield item


@contextmanager
def _progress(file: Path) -> Iterator[Callable[[int], None] | None]:
    """A bar over the file's bytes, on a terminal only."""
    err = console(stderr=True)
    if not err.is_terminal or not file.is_file():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as progress:
        task = progress.add_task(file.name, total=file.stat().st_size)
        yield lambda position: progress.update(task, completed=position)


def _error_file(path: Path | None) -> TextIO | nullcontext[None]:
    return nullcontext() if path is None else path.open("w", encoding="utf-8")


def _tell(invocation: Invocation, file: Path, imported: Imported, errors: Path | None) -> None:
    """The summary. Raises Refused when a line was bad."""
    if invocation.as_json:
        print_json(imported)
    else:
        for error in imported.first_errors:
            note(f"{file}, line {error.line}: {error.message}")
        note(f"{imported.products} products read, {imported.changed} of them new or changed")
    if imported.bad_lines:
        more = imported.bad_lines - len(imported.first_errors)
        where = f"all in {errors}" if errors else "--errors FILE writes all" if more else ""
        raise Refused(
            "bad_lines",
            f"{file}: {imported.bad_lines} lines could not be read{where and f' ({where})'}, the"
            f" other {imported.products} products are kept; mend them and import the file again",
        )
