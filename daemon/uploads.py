"""Catalogue files that were uploaded, read in the background; the database holds how far each is.

A file lies in the state directory until it is read. A daemon that ends meanwhile leaves what it has
stored, and the import marked as stopped.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import structlog

from adapters.catalog import LineError, UnreadableCatalog
from adapters.postgres import imports
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError
from daemon.catalog_import import Imported, import_file
from daemon.supervisor import cancel
from statemachine.facts import Refused
from statemachine.model import CatalogId

log = structlog.get_logger(__name__)

LARGEST_UPLOAD = 256 << 20  # bytes
MOST_ERRORS = 10_000  # unreadable lines kept of one file
MOST_AT_ONCE = 2  # files on their way in or being read
KEPT_FREE = 128 << 20  # bytes that an upload leaves free beside the database
_ABANDONED_AFTER = 24 * 3600  # seconds


class TooManyImports(Exception):
    """Files are being read already. Wait until one is done, then upload again."""


class NoRoom(Exception):
    """The file finds no room in the state directory; the message names it and what is missing."""


class Upload:
    """A file on its way in, in a directory of its own. `size` is never more than LARGEST_UPLOAD.

    Raises NoRoom where the state directory cannot hold `announced` bytes more.
    """

    def __init__(self, name: str, state_dir: Path, announced: int):
        self.name = name
        self.size = 0
        self._directory = _make_room(state_dir / "uploads", announced)
        self.path = Path(self._directory.name) / f"catalogue{Path(name).suffix.lower()}"
        self._file = self.path.open("wb")

    def write(self, chunk: bytes) -> bool:
        """Keep a piece; False, and nothing kept of it, when the file becomes too large."""
        if self.size + len(chunk) > LARGEST_UPLOAD:
            return False
        try:
            self.size += self._file.write(chunk)
        except OSError as error:
            raise NoRoom(f"{self.path.parent.parent}: {error.strerror}") from error
        return True

    def complete(self) -> None:
        """All of it is there."""
        self._file.close()

    def remove(self) -> None:
        """It is needed no more."""
        self._file.close()
        self._directory.cleanup()


def _make_room(directory: Path, announced: int) -> TemporaryDirectory[str]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_abandoned(directory)
        free = shutil.disk_usage(directory).free
        if free < announced + KEPT_FREE:
            missing = (announced + KEPT_FREE - free) >> 20
            raise NoRoom(f"{directory}: {missing + 1} MiB more must be free")
        return TemporaryDirectory(prefix="spartoo-sync-", dir=directory)
    except OSError as error:
        raise NoRoom(f"{directory}: {error.strerror}") from error


def _remove_abandoned(directory: Path) -> None:
    """Remove what a killed process left; no import takes so long."""
    for left in directory.glob("spartoo-sync-*"):
        if left.stat().st_mtime < time.time() - _ABANDONED_AFTER:
            shutil.rmtree(left, ignore_errors=True)


class Imports:
    """The imports of this process."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._coming = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for a file that comes in. Raises TooManyImports before anything is read."""
        if len(self._running) + self._coming >= MOST_AT_ONCE:
            raise TooManyImports
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def begin(
        self, database: Database, catalog: CatalogId, upload: Upload, asked_by: str
    ) -> UUID:
        """Read the file, which came within `place`, from now on; it is removed at the end."""
        import_id = uuid4()
        async with database.transaction() as tx:
            await imports.begin(tx, import_id, catalog, upload.name, upload.size, asked_by)
        work = _read(database, import_id, catalog, upload)
        task = asyncio.create_task(work, name=f"import {import_id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return import_id

    async def run(self, stop: asyncio.Event) -> None:
        """Leave what is running once stopping: the database is not to wait for it."""
        await stop.wait()
        await self.close()

    async def close(self) -> None:
        """Leave what is running; what is stored stays."""
        await cancel(self._running)


async def _read(database: Database, import_id: UUID, catalog: CatalogId, upload: Upload) -> None:
    imported, report = Imported(), _Report(database, import_id)
    try:
        await import_file(
            database,
            catalog,
            upload.path,
            imported,
            progress=report.progress,
            after_batch=lambda errors: report.tell(imported, errors),
        )
        await report.finish(None)
    except UnreadableCatalog as error:
        await report.finish(str(error).removeprefix(f"{upload.path}: "))
    except Refused as error:
        await report.finish(error.message)
    except Exception as error:
        log.exception("import failed", catalog=catalog, error=type(error).__name__)
        await report.finish("this import failed; the daemon's log says why")
    finally:
        upload.remove()


class _Report:
    """What people are told of an import while it runs."""

    def __init__(self, database: Database, import_id: UUID):
        self._database = database
        self._import_id = import_id
        self._position = 0

    def progress(self, position: int) -> None:
        self._position = position

    async def tell(self, imported: Imported, errors: Sequence[LineError]) -> None:
        """Keep the counts and these unreadable lines, if there are not too many already."""
        kept = max(MOST_ERRORS - (imported.bad_lines - len(errors)), 0)
        rows = [(error.line, error.message, error.text) for error in errors[:kept]]
        async with self._database.transaction() as tx:
            if rows:
                await imports.add_errors(tx, self._import_id, rows)
            counts = (imported.products, imported.changed, imported.bad_lines)
            await imports.note(tx, self._import_id, self._position, *counts)

    async def finish(self, error: str | None) -> None:
        """It is over. With the database away it counts as stopped after a while."""
        try:
            async with self._database.transaction() as tx:
                await imports.finish(tx, self._import_id, error)
        except PostgresError as failure:
            log.warning("end of an import not kept", error=str(failure))
