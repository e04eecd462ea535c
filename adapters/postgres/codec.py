"""JSON as the database keeps it: bytes in, bytes out; core values through pydantic."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from asyncpg import Connection, Record

_JSONB_VERSION = b"\x01"


def dump(value: Any) -> bytes:
    """The JSON of a core value: dataclasses by field, Decimal as text with its decimals."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS)


def dump_optional(value: Any) -> bytes | None:
    """As `dump`; None stays None (SQL null, not JSON null)."""
    return None if value is None else dump(value)


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


async def register(connection: "Connection[Record]") -> None:
    """Make `json` and `jsonb` values travel as bytes on this connection."""
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=_as_is, decoder=_as_is, format="binary"
    )
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda data: _JSONB_VERSION + data,
        decoder=lambda data: data[1:],
        format="binary",
    )


def _as_is(data: bytes) -> bytes:
    return bytes(data)
