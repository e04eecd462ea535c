"""What the readers of catalogue files share: bounded lines, progress, kinds of error."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_LINE = 1024 * 1024  # bytes of a line, or of one product
EXCERPT = 200  # characters of what was refused
_REPORT_EVERY = 64 * 1024

Progress = Callable[[int], None]


class UnreadableCatalog(Exception):
    """The file as a whole cannot be read; nothing of it was taken."""


@dataclass(frozen=True, slots=True)
class LineError:
    """One product could not be read: where it stands, why, and how its text begins."""

    line: int
    message: str
    text: str

    @property
    def report(self) -> str:
        """Itself as one line of an error report."""
        return f"line {self.line}: {self.message}: {self.text}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its end, or only the beginning of one that is `too_long`."""

    number: int
    data: bytes
    too_long: bool = False

    def error(self, message: str) -> LineError:
        """This line, refused."""
        text = self.data[:EXCERPT].decode("utf-8", "replace").rstrip("\r\n")
        return LineError(self.number, message, text)


TOO_LONG = f"longer than {MAX_LINE // 1024} KiB"


class CountingFile:
    """A binary file that reports how many bytes were read so far, every 64 KiB and at the end."""

    def __init__(self, file: BinaryIO, progress: Progress | None):
        self.position = 0
        self._file = file
        self._progress = progress
        self._reported = 0

    def read(self, size: int = -1) -> bytes:
        """Read, as a file does."""
        return self._count(self._file.read(size), wanted=size)

    def readline(self, size: int = -1) -> bytes:
        """Read a line or its first `size` bytes, as a file does."""
        return self._count(self._file.readline(size), wanted=size)

    def _count(self, data: bytes, wanted: int) -> bytes:
        self.position += len(data)
        ended = not data and wanted != 0
        due = self.position - self._reported >= _REPORT_EVERY
        if self._progress is not None and (due or ended):
            self._reported = self.position
            self._progress(self.position)
        return data


def physical_lines(file: CountingFile) -> Iterator[Line]:
    """The lines of the file, a byte order mark taken off; memory stays within one line."""
    number = 0
    while data := file.readline(MAX_LINE + 1):
        number += 1
        if len(data) <= MAX_LINE:
            yield Line(number, data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data)
            continue
        yield Line(number, data[:EXCERPT], too_long=True)
        while data and not data.endswith(b"\n"):
            data = file.readline(MAX_LINE)
