"""Reading messages whose properties are malformed, and writing them again as they came.

RabbitMQ carries properties unread; pamqp refuses text that is not UTF-8, timestamps beyond year
9999 (a producer counting microseconds) and deep nesting, and aiormq then drops the connection. It
reads other headers that it cannot write again: large doubles and decimals, text that is no UTF-8.
One such command would come again after every reconnection and keep everything else from moving.
"""

from collections.abc import Callable
from typing import Any

from pamqp import decode, encode
from pamqp.common import FieldValue

_DEEPEST = 16  # tables and arrays in one another
_encode_value = encode.encode_table_value


class Verbatim(bytes):
    """A header's value as it came, its type before it."""


def accept_malformed_properties() -> None:
    """Make pamqp, for the whole process, read what it can and write it again as it came."""
    nested = _Nested()
    decode.METHODS |= {"shortstr": _text, "timestamp": _timestamp, "table": nested.table}
    decode.TABLE_MAPPING |= {
        b"F": nested.table_value,
        b"A": nested.array_value,
        b"d": _verbatim(b"d", 8),
        b"D": _verbatim(b"D", 5),
        b"T": _verbatim(b"T", 8),
        b"S": _long_text,
    }
    encode.encode_table_value = _encoded


def _encoded(value: Any) -> bytes:
    return bytes(value) if isinstance(value, Verbatim) else _encode_value(value)


def _text(value: bytes) -> tuple[int, str]:
    """Bytes that are no UTF-8 become question marks: never longer than what came."""
    try:
        return decode.short_str(value)
    except UnicodeDecodeError:
        end = value[0] + 1
        return end, value[1:end].decode(errors="replace").replace("\N{REPLACEMENT CHARACTER}", "?")


def _timestamp(value: bytes) -> tuple[int, FieldValue]:
    """A moment out of range counts as not set."""
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, None


def _verbatim(kind: bytes, size: int) -> Callable[[bytes], tuple[int, Any]]:
    """Reader of a value that pamqp would not write as it came."""
    return lambda value: (size, Verbatim(kind + value[:size]))


def _long_text(value: bytes) -> tuple[int, Any]:
    size, text = decode.long_str(value)
    return size, text if isinstance(text, str) else Verbatim(b"S" + value[:size])


class _Nested:
    """Tables and arrays; those in too many others are not looked into."""

    def __init__(self) -> None:
        self._depth = 0

    def table(self, value: bytes) -> tuple[int, Any]:
        """A table that cannot be read is kept in one piece, under `x-unreadable`."""
        try:
            return decode.field_table(value)
        except ValueError:
            end = 4 + int.from_bytes(value[:4])
            return end, {"x-unreadable": bytearray(value[4:end])}

    def table_value(self, value: bytes) -> tuple[int, Any]:
        return self._inside(b"F", value, self.table)

    def array_value(self, value: bytes) -> tuple[int, Any]:
        return self._inside(b"A", value, decode.field_array)

    def _inside(
        self, kind: bytes, value: bytes, read: Callable[[bytes], tuple[int, Any]]
    ) -> tuple[int, Any]:
        if self._depth == _DEEPEST:
            end = 4 + int.from_bytes(value[:4])
            return end, Verbatim(kind + value[:end])
        self._depth += 1
        try:
            return read(value)
        finally:
            self._depth -= 1
