"""How one call is to be answered: the honest way unless faults say otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from adapters.spartoo.simulator.xml import Answer, Edit, Place, answer_parts

CHUNK = 64 * 1024  # characters put together before they are encoded and sent


@dataclass(frozen=True, slots=True)
class Whole:
    """A foreign answer instead of the service's."""

    status: int
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class ResultCode:
    """A result code instead of the service's own."""

    code: int


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer; the connection is closed after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Only the first bytes of the answer are sent; `drop` closes the connection there."""

    at_byte: int | None
    fraction: float
    drop: bool


@dataclass(frozen=True, slots=True)
class Drip:
    """The body comes in small pieces with a pause before each."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What the faults in force make of one call; the default is no fault at all."""

    faults: tuple[str, ...] = ()
    delay: float = 0  # seconds before the service starts
    jitter: float = 0  # seconds more, at most
    instead: Whole | ResultCode | Silence | None = None
    after_change: bool = False  # `instead` comes after the service has done its work
    declared: str | None = "UTF-8"
    codec: Literal["utf-8", "iso-8859-1", "cp1252"] = "utf-8"
    mark: bytes = b""  # before everything: a byte-order mark
    place: Place | None = None
    edits: tuple[Edit, ...] = ()
    cut: Cut | None = None
    drip: Drip | None = None

    @property
    def drops(self) -> bool:
        """True when the connection closes in the middle of the body."""
        return self.cut is not None and self.cut.drop

    def body(self, answer: Answer) -> Iterator[bytes]:
        """The answer's bytes in chunks; memory does not grow with the export."""
        chunks = self._encoded(answer)
        if self.cut is not None:
            chunks = _first(chunks, self._length(answer, self.cut))
        return chunks if self.drip is None else _pieces(chunks, self.drip.size)

    def _encoded(self, answer: Answer) -> Iterator[bytes]:
        declaration = "" if self.declared is None else f' encoding="{self.declared}"'
        mark = self.mark
        for text in _joined(answer_parts(answer, declaration, self.place, self.edits)):
            yield mark + text.encode(self.codec, "xmlcharrefreplace")
            mark = b""

    def _length(self, answer: Answer, cut: Cut) -> int:
        if cut.at_byte is not None:
            return cut.at_byte
        return int(sum(map(len, self._encoded(answer))) * cut.fraction)


HONEST = Plan()


def _joined(parts: Iterator[str]) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= CHUNK:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)


def _first(chunks: Iterator[bytes], length: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:length]
        length -= len(chunk)
        if length <= 0:
            return


def _pieces(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]
