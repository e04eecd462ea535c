"""Tables for people, JSON for programs; errors go to stderr."""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from adapters.postgres.codec import dump

_PIPED_WIDTH = 200  # columns where no terminal says how many there are


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr as they are now."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPED_WIDTH
    return made


def print_json(value: Any) -> None:
    """One indented JSON document; money as text with its decimals."""
    document = orjson.loads(dump(value))
    print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())  # noqa: T201 - the output


def print_json_line(data: bytes) -> None:
    """One JSON object on a line of its own, at once."""
    print(data.decode(), flush=True)  # noqa: T201 - the output


def plain(value: object) -> str:
    """A value for a table's cell; what could command a terminal becomes a question mark."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case timedelta():
            return f"{value.total_seconds():g} s"
        case _:
            return "".join(c if c.isprintable() or c == "\n" else "�" for c in str(value))


def cell(value: object, style: str = "") -> Text:
    """The value as text that is shown as it is: no markup, no control characters."""
    return Text(plain(value), style=style)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table; a cell that is a Text keeps its style."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    return made


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names and values in two columns."""
    made = Table.grid(padding=(0, 2))
    for name, value in pairs:
        made.add_row(Text(name, style="dim"), value if isinstance(value, Text) else cell(value))
    return made


def show(document: Any, *, as_json: bool, render: Callable[[], Iterable[RenderableType]]) -> None:
    """The document as JSON, or what `render` makes of it."""
    if as_json:
        print_json(document)
        return
    out = console()
    for part in render():
        out.print(part)


def note(text: str) -> None:
    """Something beside the result: what was kept, what to do next."""
    console(stderr=True).print(Text(plain(text)), soft_wrap=True)


def print_error(code: str, message: str, *, as_json: bool) -> None:
    """Why the command was not carried out."""
    if as_json:
        document = {"error": {"code": code, "message": message}}
        print(orjson.dumps(document).decode(), file=sys.stderr)  # noqa: T201 - the output
        return
    line = Text.assemble(("error: ", "bold red"), plain(message), (f" [{code}]", "dim"))
    console(stderr=True).print(line, soft_wrap=True)
