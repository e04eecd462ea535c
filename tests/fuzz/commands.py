"""Command messages: the frame with the properties as RabbitMQ hands it on, and the body.

The first byte of an input says whether the rest is a body, or a recipe for properties: the broker
checks that headers are well-formed, so only such are made. Promised: UnreadableCommand; whatever
cannot be read goes to the dead letters, with an answer to whoever asked.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

import orjson
from aiormq.abc import ChannelFrame
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from adapters.rabbitmq.commands import dead_message, reply_message
from adapters.rabbitmq.tolerance import accept_malformed_properties
from adapters.rabbitmq.window import Message, _frames
from daemon.command_messages import AnyCommand, UnreadableCommand, read_command, reply_body
from tests.fuzz.target import Target, check_text

_LARGEST_FRAME = 128 * 1024  # RabbitMQ's own limit
_FIXED = {
    b"t": 1,
    b"b": 1,
    b"B": 1,
    b"s": 2,
    b"u": 2,
    b"I": 4,
    b"i": 4,
    b"l": 8,
    b"f": 4,
    b"d": 8,
    b"D": 5,
    b"T": 8,
    b"V": 0,
}
_TEXTS = (b"S", b"x")
_NESTED = (b"F", b"A")
_TAGS = (*_FIXED, *_TEXTS, *_NESTED)

accept_malformed_properties()


def try_input(data: bytes) -> None:
    """Read the input as a body, or as properties."""
    if data[:1] and data[0] % 3 == 0:
        _properties(_Recipe(data[1:]))
    else:
        _body(data[1:], None if data[:1] and data[0] % 2 else "m-1")


def _body(body: bytes, message_id: str | None) -> None:
    try:
        command = read_command(body, message_id)
    except UnreadableCommand as error:
        told = orjson.loads(reply_body(error.command_id, "refused", error=error))
        assert told["error"]["code"] in ("bad_command", "payload_too_large")
        _marshal(dead_message(Basic.Properties(), body, f"{error.code}: {error.message}"))
        return
    _check_command(command)


def _check_command(command: AnyCommand) -> None:
    """It is stored, logged and answered."""
    check_text(command.id + command.by)
    orjson.loads(command.model_dump_json())
    orjson.loads(reply_body(command.id, "done"))


def _properties(recipe: "_Recipe") -> None:
    came = recipe.header_frame()
    if len(came) > _LARGEST_FRAME:
        return
    _, _, header = frame.unmarshal(came)
    assert isinstance(header, ContentHeader)
    properties = header.properties
    assert isinstance(properties, Basic.Properties)
    _marshal(dead_message(properties, b"{", "bad_command: not JSON"))
    with suppress(UnreadableCommand):
        read_command(b'{"command": "order.fetch"}', properties.message_id or None)
    _marshal(reply_message(properties, b"{}"))


def _marshal(message: Message) -> None:
    """As it is written to the socket; the broker closes the connection for a larger frame."""
    for part in _frames(message, _LARGEST_FRAME - 8):
        assert len(frame.marshal(part, 1)) <= _LARGEST_FRAME
    ChannelFrame.marshall(1, list(_frames(message, _LARGEST_FRAME - 8)))


class _Recipe:
    """Makes a content header of what the bytes say; past their end they say 0."""

    def __init__(self, data: bytes):
        self._data = data
        self._at = 0

    def header_frame(self) -> bytes:
        """The frame as it stands on the wire."""
        flags = int.from_bytes(self._take(2)) & 0xFFFC
        parts = [b"\0\x3c\0\0" + bytes(8) + flags.to_bytes(2)]
        for place, make in enumerate(self._kinds()):
            if flags & (1 << (15 - place)):
                parts.append(make())
        payload = b"".join(parts)
        return b"\x02\0\x01" + len(payload).to_bytes(4) + payload + b"\xce"

    def _kinds(self) -> tuple[Callable[[], bytes], ...]:
        one, text = lambda: self._take(1), self._short
        return (
            *(text, text, self._table, one, one, text, text, text, text),
            *(lambda: self._take(8), text, text, text, text),
        )

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken.ljust(size, b"\0")

    def _short(self) -> bytes:
        size = self._take(1)
        return size + self._take(size[0])

    def _table(self, depth: int = 0) -> bytes:
        entries = b"".join(
            self._short() + self._value(depth + 1) for _ in range(self._take(1)[0] % 6)
        )
        return len(entries).to_bytes(4) + entries

    def _array(self, depth: int) -> bytes:
        items = b"".join(self._value(depth + 1) for _ in range(self._take(1)[0] % 6))
        return len(items).to_bytes(4) + items

    def _value(self, depth: int) -> bytes:
        tag = _TAGS[self._take(1)[0] % len(_TAGS)]
        if tag in _FIXED:
            return tag + self._take(_FIXED[tag])
        if tag in _TEXTS:
            text = self._take(self._take(1)[0]) * (1 + self._take(1)[0])
            return tag + len(text).to_bytes(4) + text
        if depth > 20:
            return b"V"
        inner = tag + (self._table(depth) if tag == b"F" else self._array(depth))
        for _ in range(self._take(1)[0] * 16 if depth == 1 else 0):
            inner = b"A" + len(inner).to_bytes(4) + inner
        return inner


def seeds() -> Iterator[bytes]:
    """The commands of interfaces.md, wrong ones, and properties of every kind."""
    for body in _BODIES:
        yield b"\x01" + body
        yield b"\x02" + body
    for flags in range(14):
        yield b"\0" + (1 << (15 - flags)).to_bytes(2) + b"\x05hello" + bytes(8)
    for number, _tag in enumerate(_TAGS):
        yield (
            b"\0\x20\0\x02\x01a"
            + bytes([number])
            + b"\x09" * 12
            + b"\x02CC"
            + bytes([number])
            + b"\xff" * 12
        )
    text = bytes([_TAGS.index(b"S"), 255]) + b"x" * 255 + b"\xfe"
    yield b"\0\x20\0\x02\x01a" + text + b"\x01b" + text
    yield b"\0\xff\xfc" + b"\x03abc" * 40


_NAMED = b'"id":"c1","by":"eve","connection":"shoes-fr",'
_BODIES = (
    b'{"command":"order.accept",' + _NAMED + b'"order_id":"A1","reason":"vip"}',
    b'{"command":"order.ship",' + _NAMED + b'"order_id":"A1","tracking_number":"8R1","shipping_service":"DPD"}',
    b'{"command":"order.ship",' + _NAMED + b'"order_id":"A1","parcels":[{"tracking_number":"8R1","shipping_service":"DPD","items":[{"line":1,"quantity":2.0}]}]}',
    b'{"command":"order.ship",' + _NAMED + b'"order_id":"A1","parcels":[{"tracking_number":"8R1","items":[{"line":1,"quantity":99999999999999999999999}]}]}',
    b'{"command":"order.acknowledge",' + _NAMED + b'"order_id":"A1","store_order_id":"S1"}',
    b'{"command":"order.fetch",' + _NAMED + b'"order_id":"A1"}',
    b'{"command":"return.accept",' + _NAMED + b'"return_id":"7","label_link":"https://example.org/l.pdf"}',
    b'{"command":"return.label",' + _NAMED + b'"return_id":"7","label_file":"JVBERi0xLjQK"}',
    b'{"command":"connection.sync",' + _NAMED + b'"since":"2026-11-01"}',
    b'{"command":"connection.disable",' + _NAMED + b'"x":1}',
    b'{"command":"catalog.upsert","id":"c2","catalog":"default","products":[{"id":"1","sku":"s","ean":"e","name":"n","stock":5,"price_final_incl_tax":64.99,"price_original_incl_tax":"79.99","currency":"EUR","attributes":{"color":"red"},"as_of":"2026-11-20T09:12:00+01:00"}]}',
    b'{"command":"stock.set","id":"c3","product_id":"1","stock":5,"as_of":"2026-11-20T09:12:00Z"}',
    b'{"command":"stock.set","product_id":"\\ud800","stock":1e3}',
    b'{"command":"stock.set","id":"\\ud800","product_id":"1","stock":NaN,"as_of":"0001-01-01T00:00:00+14:00"}',
    b'{"command":"stock.set","id":"c3","product_id":"a\\u0000b","stock":-Infinity}',
    b'{"command":"stock.set","id":"c3","product_id":"1","stock":1e999999}',
    b'{"command":"stock.set","id":"c3","product_id":"1","stock":' + b"9" * 400 + b"}",
    b'{"command":"stock.set","id":"c3","product_id":"1","stock":0.0000000001E-99999}',
    b'{"command":"stock.set","id":"c3","product_id":"1","stock":1e9999999999999999999}',
    b"[" * 500 + b"]" * 500,
    b'{"command":' * 50,
    b"[]", b"null", b"", b"\xff\xfe{\0}\0", b'{"id":null}', b'{"command":[],"id":"1"}',
)  # fmt: skip

TARGET = Target("commands", try_input, seeds, share=300)
