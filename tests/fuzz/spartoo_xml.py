"""The answers of Spartoo's web services, streamed in pieces as in production.

The first byte of an input names what is read, the second where the stream is cut; the rest is the
answer. Promised: TransportFault for an answer, UnreadableOrder for one element.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple
from decimal import Decimal
from typing import Any

from adapters.ports import MarketplaceError, StockLevel, TransportFault, UnreadableOrder
from adapters.spartoo.answer import Answer, read_answer, read_root
from adapters.spartoo.codec import ExportReader, returns
from adapters.spartoo.element import LARGEST_ELEMENT, ExportedElement
from adapters.spartoo.errors import code_label, error_for
from adapters.spartoo.slip import check_slip, decode_slip, find_slip, is_link
from adapters.spartoo.stock import stock_batches
from statemachine.model import MarketplaceOrder
from tests.fuzz.target import Target, check_text
from tests.unit import spartoo_exports as exports

_MOST_SECONDS = 3  # of the thread's own time, read twice and under the fuzzer's instrumentation
_LEVELS = [StockLevel("98", "98_38", 3), StockLevel("98", "98_39", 0), StockLevel("7", "7_1", 1)]

Told = tuple[list[Any], str | None, Answer | None]  # items, the fault, the result code


def try_input(data: bytes) -> None:
    """Read the input as the answer it says it is."""
    kind, cut, body = data[:1], data[1:2], data[2:]
    began = time.thread_time()
    _KINDS[(kind[0] if kind else 0) % len(_KINDS)](body, cut[0] if cut else 0)
    assert time.thread_time() - began < _MOST_SECONDS, "this input costs too much"


def _orders(body: bytes, cut: int) -> None:
    whole = _read(exports.reader(), [body])
    assert _read(exports.reader(), _pieces(body, cut)) == whole
    for order in whole[0]:
        _check_element(order)
        read = _read_one(order)
        if read is not None:
            assert order.id == read.order_id
            check_order(read)


def _returns(body: bytes, cut: int) -> None:
    whole = _read(ExportReader(returns(exports.PARIS)), [body])
    assert _read(ExportReader(returns(exports.PARIS)), _pieces(body, cut)) == whole
    for one in whole[0]:
        _check_element(one)
        read = _read_one(one)
        if read is not None:
            assert one.id == read.return_id
            _check_values(read)


def _answer(body: bytes, _: int) -> None:
    with suppress(TransportFault):
        answer = read_answer(body)
        assert answer.code is not None
        error = error_for(answer.code, answer.description)
        assert error is None or isinstance(error, MarketplaceError)
        check_text(code_label(answer.code) + (error.message if error else ""))


def _stock(body: bytes, _: int) -> None:
    (batch,) = stock_batches(_LEVELS)
    with suppress(TransportFault):
        reasons = batch.read(read_root(body))[1]
        assert reasons.keys() == {0, 1, 2}


def _slip(body: bytes, _: int) -> None:
    with suppress(TransportFault):
        text = find_slip(read_root(body))
        if not is_link(text):
            check_slip(decode_slip(text))


_KINDS: tuple[Callable[[bytes, int], None], ...] = (
    _orders,
    _orders,
    _returns,
    _answer,
    _stock,
    _slip,
)


def _pieces(body: bytes, cut: int) -> Iterator[bytes]:
    """The body in pieces of one length, which the input chooses: at most 64, or of 1000 bytes."""
    size = max(1 + cut * cut // 64, len(body) // 64)
    return (body[start : start + size] for start in range(0, len(body), size))


def _read(reader: "ExportReader[Any]", chunks: Any) -> Told:
    items: list[Any] = []
    try:
        items.extend(exports.everything(reader, chunks))
    except TransportFault as fault:
        return items, fault.message, None
    return items, None, reader.answer


def _check_element(one: ExportedElement) -> None:
    assert one.id is None or 0 < len(one.id) <= 64
    check_text(one.id or "")
    assert len(one.fingerprint) == 16
    assert len(one.xml) <= 2 * LARGEST_ELEMENT
    one.reported_code()


def _read_one(one: Any) -> Any:
    """What it describes; None when it cannot be read, and says so in a few words."""
    try:
        return one.read()
    except UnreadableOrder as error:
        check_text(str(error))
        assert len(str(error)) < 1000
        return None


def check_order(order: MarketplaceOrder) -> None:
    """What every order that was read keeps to."""
    assert order.lines
    assert [line.line for line in order.lines] == list(range(1, len(order.lines) + 1))
    assert all(line.quantity >= 1 for line in order.lines)
    _check_values(order)


def _check_values(value: Any) -> None:
    pending = list(astuple(value))
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            check_text(one)
        elif isinstance(one, Decimal):
            assert one.is_finite() and one >= 0
            assert len(str(one)) < 70
        elif isinstance(one, int):
            assert 0 <= one < 2**63
        elif isinstance(one, tuple):
            pending.extend(one)


def seeds() -> Iterator[bytes]:
    """The exports of the tests, whole and broken, and what attackers send."""
    for kind, body in _seed_bodies():
        for cut in (0, 9, 60):
            yield bytes([kind, cut]) + (body if isinstance(body, bytes) else body.encode())


def _seed_bodies() -> Iterator[tuple[int, str | bytes]]:
    order, export = exports.order, exports.export
    yield (
        0,
        export(
            order("A1"), order("B2", "<!-- c -->"), order("C3", "<linked><order>1</order></linked>")
        ),
    )
    yield 0, export(order("A1", FULL))
    yield 0, export(order("A1", "<shipping_name>Zoé &eacute;<![CDATA[ & ]]></shipping_name>"))
    yield (
        0,
        export(
            order("A1", "<errors><error><id>-6</id><description>x</description></error></errors>")
        ),
    )
    yield 0, export(order("A1")[:-20], order("B2"))
    yield (
        0,
        export(order("A1").replace("64.90", "1e999999999"), order("B2").replace("64.90", "NaN")),
    )
    yield 0, export(order("A1")).encode("utf-16")
    yield (
        0,
        export(order("A1", "<shipping_name>Zoé</shipping_name>"), encoding="ISO-8859-2").encode(
            "latin-1"
        ),
    )
    yield 0, "<root><orders>" + "<order>" * 60
    yield 0, export(order("A1", "<a>" * 300 + "</a>" * 300))
    yield (
        0,
        BOMB.replace(
            "BODY", export(order("A1", "<shipping_name>&a;</shipping_name>")).partition("?>")[2]
        ),
    )
    yield 0, EXTERNAL.replace("BODY", "<root><orders>&x;</orders></root>")
    yield 0, "<html><body>down for maintenance</body></html>"
    yield 2, RETURNS
    yield 3, "<root><errors>-9</errors></root>"
    yield 3, "<root><statut><id>1</id><description>ok</description></statut></root>"
    yield 3, EXTERNAL.replace("BODY", "<root><errors>&x;</errors></root>")
    yield 4, STOCK
    yield 5, "<root><bl><order_id>A1</order_id><pdf>JVBERi0xLjQK</pdf></bl><errors/></root>"
    yield 5, "<root><bl><pdf>https://example.org/slip.pdf</pdf></bl></root>"


FULL = (
    "<customers><customers_firstname>Ada</customers_firstname></customers><delivery>"
    "<delivery_city>Paris</delivery_city><relay_info><relay_id>7</relay_id></relay_info></delivery>"
    "<payment_method>CB</payment_method><payment_price>0.00</payment_price>"
    "<shipping_price>4,90</shipping_price><order_total>64.90</order_total>"
    "<last_modified>2026-11-20 09:30:00</last_modified><products><product>"
    "<products_size_reference>98_38</products_size_reference><products_qty>2</products_qty>"
    "<products_spartoo>123</products_spartoo><products_price_unit_with_reduce>5</products_price_unit_with_reduce>"
    "<products_final_price>10.00</products_final_price></product></products>"
)
BOMB = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY b "bbbbbbbb"><!ENTITY a "&b;&b;&b;&b;">]>BODY'
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>BODY'
RETURNS = (
    "<root><returns><return><return_id>7</return_id><order>A1</order><return_status>2</return_status>"
    "<return_date>2026-11-20 09:12:00</return_date><return_reason>small</return_reason><product>"
    "<products_reference>98</products_reference></product></return><return><return_id>8</return_id>"
    "<order>A2</order><return_status>4</return_status><return_date>1795000000</return_date></return>"
    "</returns><statut><id>1</id></statut></root>"
)
STOCK = (
    "<root><products><product><reference_partenaire>98</reference_partenaire><errors><error><id>1</id>"
    "</error></errors></product><product><reference_partenaire>7</reference_partenaire><errors>"
    "<error><id>-14</id></error></errors></product></products></root>"
)

TARGET = Target("spartoo-xml", try_input, seeds, share=60)
