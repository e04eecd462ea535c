"""Reading messages whose properties are malformed.

RabbitMQ carries properties unread; pamqp refuses text that is not UTF-8 and timestamps beyond
year 9999 (a producer counting microseconds), and aiormq then drops the connection. One such
command would come again after every reconnection and keep everything else from moving.
"""

from pamqp import decode
from pamqp.common import FieldValue


def accept_malformed_properties() -> None:
    """Make pamqp's decoders, for the whole process, read what they can instead of failing."""
    decode.METHODS |= {"shortstr": _text, "timestamp": _timestamp, "table": _table}
    decode.TABLE_MAPPING |= {b"T": _timestamp, b"F": _table}


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


def _table(value: bytes) -> tuple[int, FieldValue]:
    """A table that cannot be read is kept in one piece, under `x-unreadable`."""
    try:
        return decode.field_table(value)
    except ValueError:
        end = 4 + int.from_bytes(value[:4])
        return end, {"x-unreadable": bytearray(value[4:end])}
