"""The export as a stream: cutting, mending, resynchronising, and what is refused."""

from collections.abc import Iterable
from typing import cast

import pytest

from adapters.ports import ExportedOrder, TransportFault, UnreadableOrder
from adapters.spartoo import codec, effort
from adapters.spartoo.element import LARGEST_ELEMENT
from adapters.spartoo.order import SpartooOrder
from tests.unit.spartoo_exports import everything, export, ids, order, read_all, read_export, reader


def names(orders: Iterable[SpartooOrder]) -> list[str]:
    return [found.read().shipping_service for found in orders]


def readable(found: SpartooOrder) -> bool:
    try:
        found.read()
    except UnreadableOrder:
        return False
    return True


def fault_of(body: str | bytes) -> tuple[TransportFault, list[SpartooOrder]]:
    """The fault this body ends in, and the orders that came before it."""
    export_reader = reader()
    orders: list[SpartooOrder] = []
    data = body.encode() if isinstance(body, str) else body
    with pytest.raises(TransportFault) as caught:
        orders.extend(everything(export_reader, [data]))
    return caught.value, orders


def test_an_export_is_cut_into_its_orders() -> None:
    orders, export_reader = read_all([export(order("A1"), order("b2")).encode()])
    assert ids(orders) == ["A1", "b2"]
    assert export_reader.answer.code == 1
    assert export_reader.answer.description == "ok"
    assert orders[0].xml == order("A1").encode()
    assert [found.read().order_id for found in orders] == ["A1", "b2"]
    as_port: ExportedOrder = orders[0]
    assert len(as_port.fingerprint) == 16


def test_equal_orders_have_equal_fingerprints_and_changed_ones_do_not() -> None:
    first, same, changed = read_export(
        export(order(1), order(1), order(1, "<shipping_name>DPD</shipping_name>"))
    )
    assert first.fingerprint == same.fingerprint
    assert first.fingerprint != changed.fingerprint


@pytest.mark.parametrize("body", ["<orders/>", "<orders></orders>", "<orders>\n</orders>"])
def test_no_orders_is_an_export_too(body: str) -> None:
    orders, _ = read_all([f"<root>{body}</root>".encode()])
    assert orders == []


SMALL = {
    "plain": export(order(1), order(2)).encode(),
    "accents, references, CDATA": export(
        order(1, "<shipping_name>Zoé &eacute; &nbsp; &#8364; &#x1; & €</shipping_name>"),
        order(2, "<shipping_name><![CDATA[a & b &eacute; </order> ]]></shipping_name>"),
    ).encode(),
    "Windows bytes": export(order(1, "<shipping_name>Zoé é€</shipping_name>")).encode("cp1252"),
    "byte order mark": b"\xef\xbb\xbf" + export(order(1)).encode(),
    "UTF-16": export(order(1, "<shipping_name>Zoé €</shipping_name>")).encode("utf-16"),
    "Greek": export(order(1, "<shipping_name>Αθήνα</shipping_name>"), encoding="ISO-8859-7").encode(
        "iso-8859-7"
    ),
    "bare <": export(order(1), order(2, "<x>a < b</x>"), order(3)).encode(),
    "end tag missing": export(order(1), order(2)[: -len("</order>")], order(3)).encode(),
    "a tag with one quote": export(order(1), order(2, "<it's>x</it's>"), order(3)).encode(),
    "comments": export("<!-- <order> -->", order(1), "<!-- </order> -->", order(2)).encode(),
    "nested": export(order(1, f"<linked>{order(9)}</linked>"), order(2)).encode(),
}


@pytest.mark.parametrize("body", SMALL.values(), ids=SMALL.keys())
def test_chunks_do_not_matter(body: bytes) -> None:
    whole, whole_reader = read_all([body])
    assert whole
    for cut in range(len(body)):
        parts, part_reader = read_all([body[:cut], body[cut:]])
        assert (parts, part_reader.answer) == (whole, whole_reader.answer)
    single, _ = read_all(bytes([byte]) for byte in body)
    assert single == whole


@pytest.mark.parametrize("body", SMALL.values(), ids=SMALL.keys())
def test_what_is_cut_without_the_parser_is_what_the_parser_finds(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, whole_reader = read_all([body])
    monkeypatch.setattr(codec.ExportReader, "_plain_item", lambda *_: None)
    by_parser, parsers_reader = read_all([body])
    assert (by_parser, parsers_reader.answer) == (whole, whole_reader.answer)


@pytest.mark.parametrize(
    "hidden_end",
    [
        "<shipping_name><![CDATA[</order>]]></shipping_name>",
        "<!-- </order> -->",
        "<?note </order>?>",
        f"<linked>{order(9)}</linked>",
        "<orders>9</orders>",
    ],
)
def test_an_end_that_is_none_ends_no_order(hidden_end: str) -> None:
    found = read_export(export(order(1), order(2, hidden_end), order(3)))
    assert ids(found) == ["1", "2", "3"]
    assert all(map(readable, found))


def test_an_id_is_cut_out_only_where_it_comes_first_and_is_plain() -> None:
    linked = order(7).replace("<orders_id>7</orders_id>", "<x><orders_id>9</orders_id></x>")
    later = linked.replace("</products>", "</products><orders_id>7</orders_id>")
    spelt = [order(spelling) for spelling in (" A1 ", "<![CDATA[B2]]>", "C&#51;", "D 4")]
    assert ids(read_export(export(later, *spelt))) == ["7", "A1", "B2", "C3", "D 4"]


def test_orders_may_use_the_namespaces_of_their_export() -> None:
    nothing = '<last_modified xsi:nil="true"/>'
    body = export(order(1, nothing)).replace("<root>", '<root xmlns:xsi="urn:instance">')
    (found,) = read_export(body)
    assert found.read().modified_at is None


def test_orders_are_matched_by_path_not_by_name() -> None:
    body = export(order(1, f"<linked>{order(9)}</linked><order>12</order>"), order(2))
    assert ids(read_export(body.replace("<orders>", "<order>7</order><orders>", 1))) == ["1", "2"]
    assert all(map(readable, read_export(body)))


def test_an_order_without_anything_is_handed_out_as_unreadable() -> None:
    empty, good = read_export(export("<order/>", order(1)))
    assert empty.id is None
    assert not readable(empty)
    assert readable(good)


class TestEncodings:
    def test_declared_or_actual(self) -> None:
        text = export(order(1, "<shipping_name>Zoé</shipping_name>"), encoding="ISO-8859-1")
        assert names(read_export(text.encode("latin-1"))) == ["Zoé"]
        assert names(read_export(text.encode())) == ["Zoé"]

    def test_bytes_that_are_not_utf8_are_windows_1252(self) -> None:
        body = export(order(1, "<shipping_name>é€|</shipping_name>")).encode()
        assert names(read_export(body.replace(b"|", b"\xe9\x80"))) == ["é€é€"]

    def test_national_ones(self) -> None:
        text = export(order(1, "<shipping_name>Łódź</shipping_name>"), encoding="iso-8859-2")
        assert names(read_export(text.encode("iso-8859-2"))) == ["Łódź"]

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_utf16_without_a_mark(self, encoding: str) -> None:
        text = export(order(1, "<shipping_name>Zoé</shipping_name>"), encoding="UTF-16")
        assert names(read_export(text.encode(encoding))) == ["Zoé"]

    @pytest.mark.parametrize("declared", ["rot13", "unknown", "zlib_codec", "utf-7", "idna"])
    def test_what_is_no_encoding_of_text_is_passed_over(self, declared: str) -> None:
        text = export(order(1, "<shipping_name>Zoé</shipping_name>"), encoding=declared)
        assert names(read_export(text)) == ["Zoé"]

    def test_what_looks_like_a_declaration_further_on_is_text(self) -> None:
        named = '<![CDATA[Zoé <?xml version="1.0" encoding="ISO-8859-2"?>]]>'
        body = export(order(1, f"<shipping_name>{named}</shipping_name>")).partition("?>")[2]
        data = body.encode("cp1252")
        (whole,) = read_export(data)
        assert whole.read().shipping_service.startswith("Zoé ")
        assert read_all([data[:80], data[80:]])[0] == [whole]

    def test_space_before_the_declaration(self) -> None:
        text = "\n\n " + export(order(1, "<shipping_name>é</shipping_name>"), encoding="cp1250")
        assert names(read_export(text.encode("cp1250"))) == ["é"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("a&nbsp;b", "a\xa0b"),
        ("&eacute;t&eacute;", "été"),
        ("&lt;b&gt; &amp; &quot;x&apos;", "<b> & \"x'"),
        ("Marks & Spencer", "Marks & Spencer"),
        ("a&b;c&unknown;d&", "a&b;c&unknown;d&"),
        ("&amp;eacute;", "&eacute;"),
        ("a&#1;b&#x0B;c&#xFFFE;d&#55296;e&#1114112;f", "abcdef"),
        ("&#233;&#xE9;&#X65;&#0065;", "ééeA"),
        ("&#99999999999999;", "&#99999999999999;"),
        ("&LT;x&AMP;", "<x&"),
        ("a\x00b\x0bc\x1fd￾e", "abcde"),
        ("<![CDATA[a & b &eacute; <c> &#1;]]>&amp;", "a & b &eacute; <c> &#1;&"),
        ("<b>bold</b> text", "bold text"),
        ("a<!-- b -->c<?d e?>", "ac"),
    ],
)
def test_references_and_characters_are_mended(sent: str, read: str) -> None:
    (found,) = read_export(export(order(1, f"<shipping_name>{sent}</shipping_name>")))
    assert found.read().shipping_service == read


BROKEN = {
    "bare <": order("BAD", "<x>a < b</x>"),
    "element not closed": order("BAD", "<x>"),
    "element not opened": order("BAD", "</x>"),
    "attribute without quotes": order("BAD", "<x y=z></x>"),
    "its end tag is missing": order("BAD").removesuffix("</order>"),
    "cut within a product": order("BAD").split("</products_qty>")[0],
    "CDATA not closed": order("BAD", "<x><![CDATA[ y </x>"),
    "comment not closed": order("BAD", "<!-- y"),
    "too large": order("BAD", f"<x>{'y' * LARGEST_ELEMENT}</x>"),
    "too large, many elements": order("BAD", "<x>y</x>" * (LARGEST_ELEMENT // 8)),
}


class TestBrokenOrders:
    @pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
    @pytest.mark.parametrize("place", ["first", "between", "last"])
    def test_one_does_not_hold_up_the_others(self, broken: str, place: str) -> None:
        good = [order("A", "<shipping_name>é &amp; e</shipping_name>"), order("B"), order("C")]
        good.insert({"first": 0, "between": 1, "last": 3}[place], broken)
        found, export_reader = read_all([export(*good).encode()])
        by_id = {one.id: one for one in found}
        assert set(by_id) == {"A", "B", "C", "BAD"}
        assert len(found) == 4
        assert [one for one, it in by_id.items() if not readable(it)] == ["BAD"]
        assert export_reader.answer.code == 1

    def test_many_in_a_row(self) -> None:
        body = export(*(order(n, "<x>a < b</x>" if n % 2 else "") for n in range(100)))
        found = read_export(body)
        assert ids(found) == [str(n) for n in range(100)]
        assert [readable(one) for one in found] == [n % 2 == 0 for n in range(100)]

    @pytest.mark.parametrize("cut_at", ["</order>", "</products_qty>", "</product>"])
    def test_every_one_cut_short(self, cut_at: str) -> None:
        found = read_export(export(*(order(n).split(cut_at)[0] for n in range(1000))))
        assert ids(found) == [str(n) for n in range(1000)]
        assert not any(map(readable, found))

    def test_an_export_that_is_nothing_but_broken_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(effort, "_LEAST_EFFORT", 0)  # seconds otherwise
        fault, _ = fault_of("<root><orders>" + "<order " * 1000 + "</orders></root>")
        assert "too broken" in fault.message

    def test_what_stands_between_orders_and_is_no_xml_is_kept(self) -> None:
        first, junk, second = read_export(export(order(1), "junk < more", order(2)))
        assert (first.id, second.id) == ("1", "2")
        assert b"junk < more" in junk.xml
        assert junk.id is None
        assert not readable(junk)

    def test_the_message_names_the_fault_and_none_of_the_text(self) -> None:
        text = "<customers><customers_lastname>a <Mustermann</customers_lastname></customers>"
        (found,) = read_export(export(order("BAD", text)))
        with pytest.raises(UnreadableOrder, match="not well-formed XML at line 1") as caught:
            found.read()
        assert "Mustermann" not in str(caught.value)
        assert "Mustermann" not in repr(found)

    def test_memory_of_an_endless_order_is_bounded(self) -> None:
        export_reader = reader()
        assert not any(export_reader.feed(b"<root><orders><order><orders_id>1</orders_id>"))
        for _ in range(200):
            assert not any(export_reader.feed(b"<x>" + b"y" * 65536 + b"</x>"))
        held = len(export_reader._broken) + export_reader._pending_size
        assert held < 2 * LARGEST_ELEMENT
        (found,) = filter(None, export_reader.feed(b"</order>"))
        assert found.id == "1"
        with pytest.raises(UnreadableOrder, match=f"over {LARGEST_ELEMENT} bytes"):
            found.read()


class TestTransportFaults:
    @pytest.mark.parametrize("missing", [1, 7, 30, 59, 70, 120, 300])
    def test_cut_off_after_complete_orders(self, missing: int) -> None:
        body = export(order(1), order(2), order(3)).strip()[:-missing]
        fault, orders = fault_of(body)
        assert "cut-off" in fault.message
        assert ids(orders) == ["1", "2", "3"][: body.count("</order>")]
        assert fault.received is not None
        assert fault.received.startswith("<?xml")

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ("", "empty"),
            (" \n ", "empty"),
            ("<html><body>Maintenance</body></html>", "HTML"),
            ("\n<!DOCTYPE html><html><p>", "HTML"),
            ("Fatal error: memory", "no XML"),
            ("<", "no XML"),
            ('<?xml version="1.0"?>', "no XML"),
            ("{}", "no XML"),
            ("<root><orders><order>", "cut-off"),
            ("<root>", "cut-off"),
            ("<other><thing/></other>", "without orders or a result code"),
            ("<root><a></b></root>", "malformed outside its orders"),
            ("\x00\x01\x02", "no XML"),
            ("<!-- " + "x" * 100_000 + " -->" + " " * 100_000, "no XML"),
            ("<root>" + "<x>y</x>" * 200_000 + "<orders/></root>", "outside its orders"),
        ],
    )
    def test_what_is_no_export(self, body: str, told: str) -> None:
        fault, orders = fault_of(body)
        assert told in fault.message
        assert orders == []
        assert fault.received == body[:2048]

    @pytest.mark.parametrize(
        "doctype",
        [
            '<!DOCTYPE root [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>',
            '<!DOCTYPE root [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE root SYSTEM "http://127.0.0.1:9/x.dtd">',
            "<!-- c --><?p i?>\n<!doctype root>",
        ],
    )
    def test_a_document_type_is_refused(self, doctype: str) -> None:
        body = export(order(1, "<shipping_name>&b;&x;</shipping_name>"))
        fault, orders = fault_of(body.replace("\n", doctype, 1))
        assert "document type" in fault.message
        assert orders == []

    def test_a_document_type_between_orders_expands_nothing(self) -> None:
        bomb = '<!DOCTYPE order [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        entity = "<shipping_name>&x;</shipping_name>"
        first, junk, second = read_export(export(order(1), bomb, order(2, entity)))
        assert not readable(junk)
        assert readable(first)
        assert second.read().shipping_service == "&x;"


def test_a_long_stream_keeps_no_orders() -> None:
    export_reader, count, most = reader(), 0, 0
    for chunk in _chunks(20_000):
        for one in export_reader.feed(chunk):
            if one is None:
                continue
            count += 1
            orders = export_reader._list
            assert orders is not None
            nodes = cast("float", orders.xpath("count(//node())"))
            most = max(most, int(nodes) + len(orders.text or ""))
    count += len(list(filter(None, export_reader.finish())))
    assert count == 20_000
    assert most <= 3  # root, orders, a text
    assert len(export_reader._frame) < 200


def _chunks(orders: int) -> Iterable[bytes]:
    text = export(*(order(n) for n in range(orders))).encode()
    return (text[start : start + 65_536] for start in range(0, len(text), 65_536))
