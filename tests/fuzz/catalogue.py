"""Catalogue files of every kind.

The first byte of an input names the kind; the rest is the file. Promised: UnreadableCatalog before
anything was taken, else a LineError for each product that cannot be read.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from decimal import Decimal
from io import BytesIO

from adapters.catalog.delimited import read_delimited
from adapters.catalog.jsonlines import read_json_lines
from adapters.catalog.lines import CountingFile, LineError, UnreadableCatalog
from adapters.catalog.product import MAX_ID, MAX_STOCK
from adapters.catalog.xmlfile import read_xml
from adapters.postgres.codec import dump
from statemachine.model import CatalogId, ProductUpdate
from statemachine.stock import restock
from tests.fuzz.target import Target, check_text
from tests.unit.builders import NOW

_READERS = (read_delimited, read_json_lines, read_xml)
_PRICES = ("price_final_incl_tax", "price_original_incl_tax")


def try_input(data: bytes) -> None:
    """Read the input as the kind of file it says it is."""
    kind, content = (data[0] if data else 0) % len(_READERS), data[1:]
    taken = 0
    try:
        for found in _READERS[kind](CountingFile(BytesIO(content), None)):
            taken += 1
            if isinstance(found, LineError):
                check_text(found.report.replace("\0", ""))
                assert len(found.message) < 1000
            else:
                _check_product(found)
    except UnreadableCatalog as error:
        assert taken == 0
        check_text(str(error).replace("\0", ""))
    if kind == 1:
        _check_prices(content)


def _check_product(update: ProductUpdate) -> None:
    for text in (update.id, update.sku, update.ean):
        assert text is None or 0 < len(text) <= MAX_ID
    for text in (update.id, update.sku, update.ean, update.name, update.currency):
        check_text(text or "")
    for name, text in (update.attributes or {}).items():
        check_text(name + text)
    assert update.stock is None or 0 <= update.stock <= MAX_STOCK
    for price in (update.price_final_incl_tax, update.price_original_incl_tax):
        assert price is None or (price.is_finite() and 0 <= price < 10**12)
        assert price is None or len(str(price)) < 40
    dump(asdict(update))
    restocked = restock(CatalogId("default"), None, update, (), NOW)
    assert restocked is not None
    assert restocked.product.available >= 0


def _check_prices(content: bytes) -> None:
    """Money is taken over to the last decimal."""
    with suppress(ValueError, ArithmeticError, RecursionError):
        given = json.loads(content, parse_float=Decimal)
        (found,) = read_json_lines(CountingFile(BytesIO(content), None))
        for name in _PRICES if isinstance(found, ProductUpdate) else ():
            if isinstance(given.get(name), int | Decimal):
                assert getattr(found, name) == given[name], name


def seeds() -> Iterator[bytes]:
    """A file of each kind with every field, and what goes wrong in one."""
    for content in _CSV:
        yield b"\0" + content
    for content in _JSON:
        yield b"\x01" + content
    for content in _XML:
        yield b"\x02" + content


_CSV = (
    (b"id,sku,ean,name,stock,price_final_incl_tax,price_original_incl_tax,currency,as_of,attributes.color\n"
    b'1,s,e,"Boot, red",5,64.99,79.99,EUR,2026-11-20T09:12:00+01:00,red\n2,,,,,"64,99",,,,\n'),
    b"id;stock\n1;5\n2;-1\n3;1e9\n4;9999999999\n5;NaN\n",
    b"id\tname\n1\tZo\xe9\n2\t\x81\n3\ta\0b\n",
    b'id|name\n1|"open\n2|x\n',
    b"\xef\xbb\xbfid,stock\r\n1,1.0\r\n",
    b"id,id\n1,2\n", b"name\nx\n", b"", b"\n\n", b"id,wrong\n1,2\n",
    b"id,price_final_incl_tax\n1,999999999999.123456789012345678\n2,.5\n3,5.\n4,00000000000000001\n",
    b"id,as_of\n1,0001-01-01T00:00:00+14:00\n2,9999-12-31T23:59:59-14:00\n3,2026-W01-1\n4,20261120T10Z\n",
)  # fmt: skip
_JSON = (
    (b'{"id":"1","sku":"s","ean":"e","name":"n","stock":5,"price_final_incl_tax":64.99,'
    b'"price_original_incl_tax":"79.99","currency":"EUR","attributes":{"color":"red","x":1.50},'
    b'"as_of":"2026-11-20T09:12:00+01:00"}\n{"id":2}\n'),
    b'{"id":"1","price_final_incl_tax":999999999999.123456789012345678}',
    b'{"id":"1","price_final_incl_tax":1e9999999999999999999}',
    b'{"id":"1","price_final_incl_tax":1e-999999999}',
    b'{"id":"1","stock":1e999999999}', b'{"id":"1","stock":1e-999999999}', b'{"id":1e999999}',
    b'{"id":"1","name":1e999999999}', b'{"id":NaN}', b'{"id":"1","name":-Infinity}',
    b'{"id":"\\ud800"}', b'{"\\ud800":"1"}', b'{"id":"a\\u0000b"}', b'{"id":"1","attributes":{"\\ud800":"1"}}',
    b"[" * 2000, b'{"id":"1","attributes":' + b'{"a":' * 900, b"null", b"1" * 5000, b'{"id":true}',
)  # fmt: skip
_XML = (
    (b"<catalog><product><id>1</id><stock>5</stock><price_final_incl_tax>64.99</price_final_incl_tax>"
    b"<currency>EUR</currency><attributes><color>red</color></attributes></product>"
    b"<product><id>2</id><id>3</id></product><other/></catalog>"),
    b'<!DOCTYPE c [<!ENTITY b "bb"><!ENTITY a "&b;&b;&b;">]><catalog><product><id>&a;</id></product></catalog>',
    b'<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/hostname">]><catalog><product><id>&x;</id></product></catalog>',
    b'<c:catalog xmlns:c="urn:x"><c:product><c:id>1</c:id></c:product></c:catalog>',
    b'<?xml version="1.0" encoding="UTF-16"?><catalog/>',
    b"<catalog>" + b"<a>" * 300, b"<catalog><product><id>1</id>", b"<x/>", b"", b"text",
    b"<catalog><product><id>1</id><name>&nope;</name></product></catalog>",
)  # fmt: skip

TARGET = Target("catalogue", try_input, seeds, share=100, longest=6000)
