"""Catalogues as CSV: a header row with the fields, further attributes as `attributes.NAME`.

The delimiter is the one of , ; tab | under which the header holds most known columns. Text is
UTF-8; a line that is not is taken as Windows-1252. An empty cell leaves its field as it is.
Prices may have a decimal comma.
"""

import csv
from collections import deque
from collections.abc import Iterator

from adapters.catalog.lines import (
    MAX_LINE,
    TOO_LONG,
    CountingFile,
    Line,
    LineError,
    UnreadableCatalog,
    physical_lines,
)
from adapters.catalog.product import FIELDS, product_update
from statemachine.model import ProductUpdate

_DELIMITERS = ",;\t|"
_ATTRIBUTE = "attributes."
_PLAIN = tuple(field for field in FIELDS if field != "attributes")
_PRICES = frozenset({"price_final_incl_tax", "price_original_incl_tax"})


def read_delimited(file: CountingFile) -> Iterator[ProductUpdate | LineError]:
    """Each row's product, or why it cannot be read; raises UnreadableCatalog for the header."""
    lines = physical_lines(file)
    header = next((line for line in lines if line.data.strip()), None)
    if header is None:
        raise UnreadableCatalog("is empty; the first row must name the columns")
    delimiter, columns = _read_header(header)
    rows = _Rows(lines, delimiter, len(columns))
    while (line := rows.next_line()) is not None:
        try:
            fields = _fields(columns, rows.cells(line))
            if fields:
                yield product_update(fields)
        except ValueError as error:
            yield line.error(str(error))


def _read_header(line: Line) -> tuple[str, list[str]]:
    try:
        text = _decode(line)
        named = {
            d: [_column(c) for c in next(csv.reader([text], delimiter=d))] for d in _DELIMITERS
        }
    except (ValueError, csv.Error) as error:
        raise UnreadableCatalog(f"line {line.number}, the header: {error}") from None
    delimiter = max(named, key=lambda d: (sum(map(_is_known, named[d])), len(named[d])))
    columns = named[delimiter]
    if problem := _header_problem(columns):
        raise UnreadableCatalog(f"line {line.number}, the header: {problem}")
    return delimiter, columns


def _columns(text: str, delimiter: str) -> list[str]:
    return [_column(title) for title in next(csv.reader([text], delimiter=delimiter))]


def _header_problem(columns: list[str]) -> str | None:
    known = f"known are {', '.join(_PLAIN)} and {_ATTRIBUTE}NAME for any other"
    if unknown := [column for column in columns if not _is_known(column)]:
        return f"unknown column {', '.join(map(repr, unknown[:10]))}; {known}"
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        return f"column {', '.join(twice)} stands there twice"
    return None if "id" in columns else "column id is missing"


def _column(title: str) -> str:
    """The column's name; the case of an attribute's own name counts, that of ours does not."""
    title = title.strip()
    if title.lower() in _PLAIN:
        return title.lower()
    head, name = title[: len(_ATTRIBUTE)], title[len(_ATTRIBUTE) :]
    return head.lower() + name.strip() if head.lower() == _ATTRIBUTE else title


def _is_known(column: str) -> bool:
    return column in _PLAIN or (column.startswith(_ATTRIBUTE) and column != _ATTRIBUTE)


def _decode(line: Line) -> str:
    if line.too_long:
        raise ValueError(TOO_LONG)
    try:
        return line.data.decode()
    except UnicodeDecodeError:
        pass
    try:
        return line.data.decode("cp1252")
    except UnicodeDecodeError:
        raise ValueError("neither UTF-8 nor Windows-1252; save the file as UTF-8") from None


def _fields(columns: list[str], cells: list[str]) -> dict[str, object]:
    """The cells that say something, by field."""
    filled = {c: cell for c, text in zip(columns, cells, strict=True) if (cell := text.strip())}
    fields: dict[str, object] = {}
    attributes: dict[str, str] = {}
    for column, cell in filled.items():
        if column.startswith(_ATTRIBUTE):
            attributes[column.removeprefix(_ATTRIBUTE)] = cell
        else:
            fields[column] = _decimal_point(cell) if column in _PRICES else cell
    return fields | {"attributes": attributes} if attributes else fields


def _decimal_point(cell: str) -> str:
    return cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell


class _Rows:
    """Rows of cells from lines; a quoted cell may hold line ends.

    A row that goes wrong costs its first line only: the lines it had swallowed are read anew, so
    a stray quote does not hide what follows.
    """

    def __init__(self, lines: Iterator[Line], delimiter: str, columns: int):
        self._lines = lines
        self._again: deque[Line] = deque()
        self._delimiter = delimiter
        self._columns = columns

    def next_line(self) -> Line | None:
        """The line the next row begins with; None at the end."""
        while (line := self._take()) is not None and not line.data.strip():
            pass
        return line

    def cells(self, first: Line) -> list[str]:
        """The cells of the row that begins with this line; ValueError tells what is wrong."""
        taken = [first]
        try:
            feed = self._feed(taken)
            cells = next(csv.reader(feed, delimiter=self._delimiter, strict=True))
            if len(cells) == self._columns:
                return cells
            problem = f"has {len(cells)} cells, the header has {self._columns}"
        except (ValueError, csv.Error) as error:
            problem = str(error)
        self._again.extendleft(reversed(taken[1:]))
        raise ValueError(problem if len(taken) == 1 else "a quoted cell is not closed")

    def _take(self) -> Line | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def _feed(self, taken: list[Line]) -> Iterator[str]:
        """Text for the parser, a line at a time as it asks, up to MAX_LINE in all."""
        yield _decode(taken[0])
        size = len(taken[0].data)
        while (line := self._take()) is not None:
            taken.append(line)
            size += len(line.data)
            if size > MAX_LINE:
                return
            yield _decode(line)
