"""A catalogue file of any kind we know, chosen by its suffix."""

from collections.abc import Callable, Iterator
from pathlib import Path

from adapters.catalog.delimited import read_delimited
from adapters.catalog.jsonlines import read_json_lines
from adapters.catalog.lines import CountingFile, LineError, Progress, UnreadableCatalog
from adapters.catalog.xmlfile import read_xml
from statemachine.model import ProductUpdate

_READERS: dict[str, Callable[[CountingFile], Iterator[ProductUpdate | LineError]]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".xml": read_xml,
}
SUFFIXES = tuple(_READERS)


def read_catalog(
    path: Path, progress: Progress | None = None
) -> Iterator[ProductUpdate | LineError]:
    """The products of a file in its order, and an error with its line for each unreadable one.

    Memory stays flat. `progress` is told now and then how many bytes have been read in all. Raises
    UnreadableCatalog, before anything was yielded, when the file as a whole cannot be read.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UnreadableCatalog(f"{path}: name it {', '.join(SUFFIXES)} after what it holds")
    try:
        with path.open("rb") as file:
            yield from reader(CountingFile(file, progress))
    except UnreadableCatalog as error:
        raise UnreadableCatalog(f"{path}: {error}") from None
    except OSError as error:
        raise UnreadableCatalog(f"{path}: {error.strerror}") from error
