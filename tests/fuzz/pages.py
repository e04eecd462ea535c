"""What comes back to us from lists and pages: cursors, filters, sealed values, days and times.

The first byte of an input says which; the rest is its text, fields on lines of their own.
Promised: BadCursor; Complaint of the console; Refused by the API; BadParameter.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import typer
from cryptography.fernet import Fernet, MultiFernet
from pydantic import ValidationError

from adapters.postgres import paging
from adapters.postgres.paging import BadCursor
from daemon.api.events import EventsWanted, StreamWanted
from daemon.api.inputs import checked
from daemon.api.orders import OrdersWanted
from daemon.cli.times import end
from daemon.cli.times import moment as begin
from daemon.console.order_filters import Filters
from daemon.console.seal import Seal
from daemon.console.visit import Complaint, _storable
from statemachine.facts import Refused
from tests.fuzz.target import Target, check_text

_CIPHER = MultiFernet([Fernet(b"A" * 43 + b"=")])
_SEAL = Seal(_CIPHER, "fuzz")
_KEYS = ((paging.moment, paging.text, paging.text), (paging.text, paging.text), (paging.text,))
_FILTERS = ("connection", "state", "since", "until", "zone", "attention", "text")


def try_input(data: bytes) -> None:
    """Read the input as what it says it is."""
    kinds = (_cursor, _cursor, _filters, _query, _sealed, _option)
    kinds[(data[0] if data else 0) % len(kinds)](data[1:])


def _cursor(content: bytes) -> None:
    """A key as it may be forged, and any text."""
    forged = urlsafe_b64encode(content).rstrip(b"=").decode()
    for kinds in _KEYS:
        for cursor in (
            forged,
            content.decode("utf-8", "surrogatepass" if content.isascii() else "replace"),
        ):
            with suppress(BadCursor):
                for value in paging.decode(cursor, *kinds):
                    _check_value(value)


def _filters(content: bytes) -> None:
    lines = [_storable(line) for line in content.decode("utf-8", "replace").split("\n")]
    given = dict(zip(_FILTERS, lines, strict=False))
    with suppress(Complaint):
        for value in Filters(**given).criteria().values():
            _check_value(value)


def _query(content: bytes) -> None:
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    fields = dict(line.partition("=")[::2] for line in lines)
    for model in (OrdersWanted, EventsWanted, StreamWanted):
        known = {f.alias or name for name, f in model.model_fields.items()}
        try:
            given = checked(model, {k: v for k, v in fields.items() if k in known}, {})
        except Refused as error:
            assert isinstance(error.__cause__, ValidationError)
            check_text(error.message)
            continue
        for name, value in dict(given).items():
            if name != "cursor":  # what is no cursor is found out when it is used
                _check_value(value)


def _option(content: bytes) -> None:
    """A time of the command line."""
    with suppress(typer.BadParameter):
        _check_value(begin(content.decode("utf-8", "surrogateescape")))
        _check_value(end(content.decode("utf-8", "surrogateescape")))


def _sealed(content: bytes) -> None:
    assert _SEAL.open(content.decode("utf-8", "replace")) is None
    text = _storable(content.decode("utf-8", "replace"))
    assert _SEAL.open(_SEAL.close(text)) == text
    assert Seal(_CIPHER, "other").open(_SEAL.close(text)) is None


def _check_value(value: Any) -> None:
    """PostgreSQL takes it as what it is."""
    assert value is None or isinstance(value, str | int | datetime), value
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, datetime):
        assert value.astimezone(UTC) is not None
        assert value.tzinfo is not None


def seeds() -> Iterator[bytes]:
    """Keys of every list, and filters of every kind."""
    for key in _CURSORS:
        yield b"\0" + key
        yield b"\x01" + urlsafe_b64encode(key)
    for filters in _FILTERED:
        yield b"\x02" + filters
    for query in _QUERIES:
        yield b"\x03" + query
    for day in (b"2026-11-01", b"9999-12-31", b"0001-01-01T00:00:00+14:00"):
        yield b"\x05" + day
    yield b"\x04hello"
    yield b"\x04gAAAAABrB2CRELUCt2rxJJMSbERPhMZqebmYBxd"


_CURSORS = (
    b'["2026-11-20T09:12:00+01:00","A1","shoes-fr"]', b'["A1","shoes-fr"]', b'["1"]', b"[]", b"[null]", b"1", b'[{"a":1}]',
    b'[["a"]]', b'["a\\u0000b"]', b'["\\ud800"]', b'["0001-01-01T00:00:00+14:00","a","b"]', b"[" * 900, b'{"a":1}', b'"abc"',
    b'["2026-11-20","A1","b"]', b"[1e999]", b"[12345678901234567890123]", b"[true,false]",
)  # fmt: skip
_FILTERED = (
    b"shoes-fr\nnew\n2026-11-01\n2026-11-20\nEurope/Paris\nyes\nada", b"\n\n0001-01-01\n\nAsia/Tokyo\n\n", b"\n\n\n9999-12-31",
    b"\n\n9999-12-30\n\nAmerica/New_York", b"\nnone", b"\n\n2026-W01-1\n\n../../etc/passwd", b"\n\n2026-11-01\n\nEurope",
)  # fmt: skip
_QUERIES = (
    b"connection=shoes-fr\nstate=new\nq=ada\nfrom=2026-11-01\nto=2026-11-20T09:12:00 01:00\nlimit=9\ncursor=W10\nattention=true",
    b"after=0\nlimit=200\nlast_event_id=7", b"after=1_0\nlimit=1e2", b"from=0001-01-01T00:00:00+14:00\nto=9999-12-31", b"q=\xff\nlimit=",
)  # fmt: skip

TARGET = Target("pages", try_input, seeds, share=250)
