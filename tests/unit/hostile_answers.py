"""Answers made to keep a reader busy: each a name and the bytes, about as large as `size`."""

import gzip
from collections.abc import Callable, Iterator
from itertools import count

Shape = Callable[[int], bytes]

_HEAD, _TAIL = b"<root><orders>", b"</orders><statut><id>1</id></statut></root>"
_ID = b"<orders_id>1</orders_id>"


def _filled(piece: bytes, size: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """An export whose list holds `before`, the piece again and again, and `after`."""
    return _HEAD + before + piece * (size // len(piece)) + after + _TAIL


def _numbered(piece: str, size: int) -> bytes:
    """The piece again and again, each `#` in it a number of its own."""
    return b"".join(_pieces(piece, size))


def _pieces(piece: str, size: int) -> Iterator[bytes]:
    left = size
    for number in count():
        data = piece.replace("#", str(number)).encode()
        left -= len(data)
        if left < 0:
            return
        yield data


def _in_order(inside: bytes) -> bytes:
    return _HEAD + b"<order>" + _ID + inside + b"</order>" + _TAIL


def _in_tag(attributes: bytes) -> bytes:
    return _HEAD + b"<order" + attributes + b">" + _ID + b"</order>" + _TAIL


def _framed(attributes: bytes, orders: int) -> bytes:
    inside = (b"<order>" + _ID + b"<!-- --></order>") * orders
    return b"<root" + attributes + b"><orders>" + inside + _TAIL


SHAPES: dict[str, Shape] = {
    "blanks where an id should be": lambda n: (
        _HEAD + b"<order><orders_id>" + b" " * n + b"<</order>" + _TAIL
    ),
    "blanks in a broken order": lambda n: _in_order(b"<x>" + b" " * n),
    "blanks between orders": lambda n: _HEAD + b" " * n + _TAIL,
    "blanks after the root": lambda n: _HEAD + _TAIL + b" " * n,
    "blanks before the root": lambda n: b" " * n + _HEAD + _TAIL,
    "broken orders": lambda n: _filled(b"<order><</order>", n),
    "broken orders after a large frame": lambda n: (
        b"<root>" + b"<x>y</x>" * 4000 + _filled(b"<order><</order>", n)[6:]
    ),
    "orders that only begin": lambda n: _filled(b"<order ", n),
    "orders without an end": lambda n: _filled(b"<order>" + _ID, n),
    "empty orders": lambda n: _filled(b"<order/>", n),
    "ends of orders": lambda n: _filled(b"</order>", n),
    "lists": lambda n: b"<root>" + b"<orders></orders>" * (n // 17) + b"</root>",
    "lists in a list": lambda n: _filled(b"<orders></orders>", n),
    "ends in CDATA": lambda n: _in_order(b"<x><![CDATA[" + b"</order>" * (n // 8) + b"]]></x>"),
    "ends in a comment": lambda n: _in_order(b"<!--" + b"</order>" * (n // 8) + b"-->"),
    "ends in an instruction": lambda n: _in_order(b"<?x " + b"</order>" * (n // 8) + b"?>"),
    "ends in a quotation": lambda n: _in_order(b'<x y="' + b"</order>" * (n // 8) + b'"/>'),
    "comments without an end": lambda n: _filled(b"<order><!-- ", n),
    "comments between orders": lambda n: _filled(b"<!-- -->", n),
    "one long comment": lambda n: _in_order(b"<!--" + b"x" * n + b"-->"),
    "instructions": lambda n: _in_order(b"<?x y?>" * (n // 7)),
    "namespaces of the frame": lambda n: _framed(_numbered(' xmlns:a#="u#"', n), 20),
    "a long namespace of the frame": lambda n: _framed(b' xmlns:a="' + b"u" * n + b'"', 4000),
    "namespaces of an order": lambda n: _in_tag(_numbered(' xmlns:a#="u#"', n)),
    "namespaces of its elements": lambda n: _in_order(_numbered('<a#:x xmlns:a#="u#"/>', n)),
    "namespaces and their elements": lambda n: (
        _HEAD
        + b"<order"
        + _numbered(' xmlns:a#="u#"', n // 2)
        + b">"
        + _numbered("<a#:x/>", n // 4)
        + b"</order>"
        + _TAIL
    ),
    "attributes": lambda n: _in_tag(_numbered(' a#=""', n)),
    "the same attribute": lambda n: _in_tag(b' a=""' * (n // 5)),
    "one long attribute": lambda n: _in_tag(b' a="' + b"x" * n + b'"'),
    "a long tag": lambda n: _in_order(b"<" + b"x" * n + b"/>"),
    "deep nesting": lambda n: _in_order(b"<x>" * (n // 3)),
    "deep nesting, many times": lambda n: _filled(
        b"<order>" + b"<x>" * 240 + b"</x>" * 240 + b"</order>", n
    ),
    "orders in an order": lambda n: _filled(b"<order><z>", n),
    "orders deep in an order": lambda n: (
        _HEAD
        + b"<order>"
        + b"<z>" * 240
        + b"<order/>" * (n // 8)
        + b"</z>" * 240
        + b"</order>"
        + _TAIL
    ),
    "orders deep in its fields": lambda n: (
        _HEAD
        + b"<order>"
        + b"<products>" * 240
        + b"<order/>" * (n // 8)
        + b"</products>" * 240
        + b"</order>"
        + _TAIL
    ),
    "tiny elements": lambda n: _in_order(b"<a/>" * (n // 4)),
    "one long text": lambda n: _in_order(b"<shipping_name>" + b"x" * n + b"</shipping_name>"),
    "bare ampersands": lambda n: _in_order(b"&" * n),
    "references": lambda n: _in_order(b"&ab;" * (n // 4)),
    "references to characters": lambda n: _in_order(b"&#1;" * (n // 4)),
    "references of zeros": lambda n: _in_order(b"&#" + b"0" * n),
    "bytes that are no UTF-8": lambda n: _in_order(b"\xff" * n),
    "single bytes that are no UTF-8": lambda n: _in_order(b"\xffa" * (n // 2)),
    "characters illegal in XML": lambda n: _in_order(b"\xef\xbf\xbf\x01" * (n // 4)),
    "UTF-16": lambda n: _in_order(b"<a/>" * (n // 8)).decode().encode("utf-16"),
    "numbers": lambda n: _in_order(b"<order_total>" + b"9" * n + b"</order_total>"),
    "containers for texts": lambda n: _in_order(b"<shipping_name><b/></shipping_name>" * (n // 35)),
    "nested containers": lambda n: _in_order(
        (b"<shipping_name>" * 240 + b"</shipping_name>" * 240) * (n // 7440)
    ),
    "products": lambda n: _in_order(b"<products>" + b"<product/>" * (n // 10) + b"</products>"),
    "products that can be read": lambda n: _in_order(
        b"<orders_status_id>2</orders_status_id><date_purchased>2026-11-20</date_purchased>"
        b"<products>"
        b"<product><products_qty>1</products_qty><products_price_unit>1</products_price_unit>"
        + b"</product></products><products>" * (n // 70)
        + b"</products>"
    ),
    "errors in an order": lambda n: _in_order(b"<errors>" + b"<error/>" * (n // 8) + b"</errors>"),
    "result codes": lambda n: _HEAD + b"</orders>" + b"<errors/>" * (n // 9) + b"</root>",
    "many numbered orders": lambda n: (
        _HEAD + _numbered("<order><orders_id>#</orders_id></order>", n) + _TAIL
    ),
}


def bomb(megabytes: int) -> bytes:
    """So many megabytes of an order that never ends, packed to a thousandth."""
    packed = gzip.compress(_HEAD + b"<order><x>" + b" " * (megabytes << 20), 6)
    assert len(packed) < megabytes << 11
    return packed
