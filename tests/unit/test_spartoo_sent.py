"""What is sent to Spartoo beside plain fields, and the answers that hold more than a code."""

import re
from base64 import b64encode
from collections.abc import Sequence

import pytest
from lxml import etree

from adapters.ports import Label, StockLevel, TransportFault
from adapters.spartoo.answer import Answer
from adapters.spartoo.label import LARGEST_LABEL, check_label
from adapters.spartoo.parcels import packages_xml
from adapters.spartoo.slip import check_slip, decode_slip, find_slip, is_link, slip_request
from adapters.spartoo.stock import PRODUCTS_PER_BATCH, StockBatch, stock_batches
from statemachine.model import OrderId, Shipment, ShippedItem
from tests.unit.builders import line

ORDER = OrderId("3FF75E96C3434E92")
PDF = b"%PDF-1.4\n..."


def parcel(number: str, *items: tuple[int, int]) -> Shipment:
    packed = tuple(ShippedItem(line, quantity) for line, quantity in items)
    return Shipment(number, "Colissimo", "Colissimo", packed, None)


class TestPackages:
    def test_each_package_with_its_products(self) -> None:
        lines = [line(1, "98", size_reference="98_38", quantity=3), line(2, "A&B")]
        shipments = [parcel("6A<1>", (1, 2), (2, 1)), parcel("6A2", (1, 1))]
        assert packages_xml(ORDER, shipments, lines) == (
            f"<root><order_id>{ORDER}</order_id><packages>"
            "<package><tracking_number>6A&lt;1&gt;</tracking_number><products>"
            "<product><products_size_reference>98_38</products_size_reference>"
            "<quantity>2</quantity></product>"
            "<product><products_size_reference>A&amp;B</products_size_reference>"
            "<quantity>1</quantity></product></products></package>"
            "<package><tracking_number>6A2</tracking_number><products>"
            "<product><products_size_reference>98_38</products_size_reference>"
            "<quantity>1</quantity></product></products></package>"
            "</packages></root>"
        )

    def test_two_lines_of_one_size_are_one_product(self) -> None:
        lines = [line(1, size_reference="98_38"), line(2, size_reference="98_38")]
        root = etree.fromstring(packages_xml(ORDER, [parcel("6A1", (1, 1), (2, 1))], lines))
        assert [found.text for found in root.iter("quantity")] == ["2"]


class TestLabels:
    @pytest.mark.parametrize(
        "label",
        [
            Label(link="https://labels.example.com/1?a=b"),
            Label(link="http://127.0.0.1:9900/label.pdf"),
            Label(pdf=PDF),
            Label(pdf=PDF.ljust(LARGEST_LABEL)),
        ],
    )
    def test_what_may_be_sent(self, label: Label) -> None:
        check_label(label)

    @pytest.mark.parametrize(
        ("label", "told"),
        [
            (Label(), "either a link or a PDF file"),
            (Label("https://a.example", PDF), "either a link or a PDF file"),
            (Label(link=""), "starts with https:// or http://"),
            (Label(link="label.pdf"), "starts with https:// or http://"),
            (Label(link="ftp://a.example/x"), "starts with https:// or http://"),
            (Label(link="https://"), "starts with https:// or http://"),
            (Label(link="https://a.example/x y"), "starts with https:// or http://"),
            (Label(link="https://[::1"), "no address"),
            (Label(pdf=b""), "does not begin with %PDF-"),
            (Label(pdf=b"GIF89a"), "does not begin with %PDF-"),
            (Label(pdf=PDF.ljust(LARGEST_LABEL + 1)), "has 5.0 MiB; at most 5 MiB"),
        ],
    )
    def test_what_may_not(self, label: Label, told: str) -> None:
        with pytest.raises(ValueError, match=re.escape(told)):
            check_label(label)


class TestSlips:
    def test_what_is_asked(self) -> None:
        lines = [line(1, "98", quantity=2), line(2, "99"), line(3, "98")]
        assert slip_request(ORDER, lines) == (
            f"<root><order_id>{ORDER}</order_id><products>"
            "<product><reference_partenaire>98</reference_partenaire>"
            "<product_quantity>3</product_quantity></product>"
            "<product><reference_partenaire>99</reference_partenaire>"
            "<product_quantity>1</product_quantity></product></products></root>"
        )

    def test_where_it_stands(self) -> None:
        root = etree.fromstring("<root><bl><order_id>1</order_id><pdf>\n abc </pdf></bl></root>")
        assert find_slip(root) == "abc"

    @pytest.mark.parametrize("xml", ["<root/>", "<root><bl><pdf/></bl></root>"])
    def test_where_there_is_none(self, xml: str) -> None:
        with pytest.raises(TransportFault, match="without the delivery slip"):
            find_slip(etree.fromstring(xml))

    def test_link_or_base64(self) -> None:
        assert is_link("HTTPS://sws.spartoo.com/x.pdf")
        assert not is_link(b64encode(PDF).decode())
        wrapped = b64encode(PDF * 50).decode()
        lines = "\r\n".join(wrapped[at : at + 76] for at in range(0, len(wrapped), 76))
        assert decode_slip(lines) == PDF * 50

    @pytest.mark.parametrize("text", ["JVBER!", "/slips/1.pdf", "abc", "JVBÉ"])
    def test_neither(self, text: str) -> None:
        with pytest.raises(TransportFault, match="neither link nor base64"):
            decode_slip(text)

    def test_what_is_no_pdf(self) -> None:
        assert check_slip(b"\xef\xbb\xbf" + PDF) == b"\xef\xbb\xbf" + PDF
        for wrong in (b"", b"<html>", b" " * 1024 + PDF):
            with pytest.raises(TransportFault, match="no PDF"):
                check_slip(wrong)


def level(reference: str, size: str, quantity: int = 1) -> StockLevel:
    return StockLevel(reference, size, quantity)


def batch(*levels: StockLevel) -> StockBatch:
    (only,) = stock_batches(levels)
    return only


def answered(*products: tuple[str, int | str], whole: int | None = 1) -> etree._Element:
    listed = "".join(
        f"<product>{name and f'<reference_partenaire>{name}</reference_partenaire>'}"
        f"<errors><error><id>{code}</id><description>why</description></error></errors></product>"
        for name, code in products
    )
    code = "" if whole is None else f"<statut><id>{whole}</id></statut>"
    return etree.fromstring(f"<root><products>{listed}</products>{code}</root>")


class TestStock:
    def test_sizes_are_grouped_by_product(self) -> None:
        assert batch(
            level("98", "98_38", 5), level("99", "99_40", 0), level("98", "98_39")
        ).xml() == (
            "<catalogue><products>"
            "<product><reference_partenaire>98</reference_partenaire><size_list>"
            "<size><size_reference>98_38</size_reference><size_quantity>5</size_quantity></size>"
            "<size><size_reference>98_39</size_reference><size_quantity>1</size_quantity></size>"
            "</size_list></product>"
            "<product><reference_partenaire>99</reference_partenaire><size_list>"
            "<size><size_reference>99_40</size_reference><size_quantity>0</size_quantity></size>"
            "</size_list></product></products></catalogue>"
        )

    def test_a_batch_is_not_larger_than_allowed(self) -> None:
        levels = [level(str(n % 1001), f"{n}") for n in range(2002)]
        sizes = [len(one.products) for one in stock_batches(levels)]
        assert sizes == [PRODUCTS_PER_BATCH, PRODUCTS_PER_BATCH, 1]
        assert list(stock_batches([])) == []

    def test_a_product_stays_whole(self) -> None:
        levels = [level(str(n // 2000), f"{n}") for n in range(10_000)]
        sizes = [sum(map(len, one.products.values())) for one in stock_batches(levels)]
        assert sizes == [4000, 4000, 2000]

    def test_what_lacks_a_reference_is_in_no_batch(self) -> None:
        assert list(stock_batches([level("", "98_38"), level("98", "")])) == []

    def test_a_negative_quantity_is_our_mistake(self) -> None:
        with pytest.raises(ValueError, match="98_38 is -1, below 0"):
            list(stock_batches([level("98", "98_38", -1)]))

    @pytest.mark.parametrize(
        ("root", "reasons"),
        [
            (answered(("98", 1), ("99", 1)), [None, None, None]),
            (answered(("99", -18), ("98", 1), whole=None), [None, None, None]),
            (answered(("98", -20), ("99", 1)), ["-20", None, "-20"]),
            (answered(("98", 1)), [None, "not answered", None]),
            (answered(("98", -18), ("98", -16), ("99", 1)), ["-16", None, "-16"]),
            (answered(("98", -16), ("98", 1), ("99", 1)), ["-16", None, "-16"]),
            (answered(("", 1), ("", -14)), [None, "-14", None]),
            (answered(("98", "x"), ("99", 1)), ["not answered", None, "not answered"]),
            (answered(), [None, None, None]),
            (answered(whole=-14), ["-14", "-14", "-14"]),
            (answered(("99", 1), whole=-16), ["-16", None, "-16"]),
        ],
    )
    def test_each_product_has_its_answer(
        self, root: etree._Element, reasons: Sequence[str | None]
    ) -> None:
        pushed = batch(level("98", "98_38"), level("99", "99_40"), level("98", "98_39"))
        _, found = pushed.read(root)
        assert found.keys() == {0, 1, 2}
        for index, reason in enumerate(reasons):
            told = found[index]
            assert told is None if reason is None else told is not None and reason in told

    def test_the_code_of_the_call(self) -> None:
        pushed = batch(level("98", "98_38"))
        assert pushed.read(answered(("98", -14)))[0] == Answer(1)
        assert pushed.read(answered(("98", -429)))[0] == Answer(-429, "why")
        assert pushed.read(answered(whole=-428))[0] == Answer(-428)
        with pytest.raises(TransportFault, match="without a result code"):
            pushed.read(answered(whole=None))
