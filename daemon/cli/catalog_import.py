"""`spartoo-sync catalog import`: a file of products into the database, batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.catalog import LineError
from adapters.postgres.database import Database
from daemon.catalog_import import AfterBatch, Imported, import_file
from daemon.cli.catalog_names import CatalogName
from daemon.cli.command import Invocation
from daemon.cli.output import console, note, print_json
from daemon.holdings import alive
from statemachine.facts import Refused
from statemachine.model import CatalogId


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
        with _progress(file) as told, _error_file(errors) as write_errors:
            async with alive(parts.database):
                await _import(
                    parts.database, CatalogId(catalog), file, imported, told, write_errors
                )
    _tell(invocation, file, imported, errors)


async def _import(
    database: Database,
    catalog: CatalogId,
    file: Path,
    imported: Imported,
    progress: Callable[[int], None] | None,
    after_batch: AfterBatch | None,
) -> None:
    try:
        await import_file(
            database, catalog, file, imported, progress=progress, after_batch=after_batch
        )
    except Refused as error:
        raise Refused(error.code, f"{file}: {error.message}") from error


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


@contextmanager
def _error_file(path: Path | None) -> Iterator[AfterBatch | None]:
    """Writes down each unreadable line, if so wished."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as written:

        async def write_errors(errors: Sequence[LineError]) -> None:
            written.writelines(f"{error.report}\n" for error in errors)

        yield write_errors


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
