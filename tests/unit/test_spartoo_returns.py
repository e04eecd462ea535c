"""Exported returns: the stream of them, every field of one, every liberty, every refusal."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from adapters.ports import ExportedReturn, TransportFault, UnreadableOrder
from adapters.spartoo.codec import ExportReader, returns
from adapters.spartoo.element import LARGEST_ELEMENT
from adapters.spartoo.rma import SpartooReturn
from statemachine.model import MarketplaceReturn, OrderId, ReturnId, ReturnItem
from tests.unit.spartoo_exports import everything

PARIS = ZoneInfo("Europe/Paris")

FULL = """<return>
  <return_id> 7B0C </return_id><return_date>2026-11-20 09:12:00</return_date>
  <return_status_name>waiting</return_status_name><return_status>2</return_status>
  <return_reason><![CDATA[trop petit & "serré"]]></return_reason><order>3FF75E96C3434E92</order>
  <product>
    <products_reference>98</products_reference><products_name>Bottes</products_name>
    <products_spartoo>123</products_spartoo>
    <products_manufacturers>Marque</products_manufacturers>
    <products_size>38</products_size><products_color>noir</products_color>
  </product>
  <errors/>
</return>"""


def rma(return_id: object, extra: str = "") -> str:
    return (
        f"<return><return_id>{return_id}</return_id><return_date>2026-11-20 09:12:00</return_date>"
        f"<return_status>2</return_status><order>A1</order>{extra}</return>"
    )


def export(*bodies: str) -> bytes:
    listed = "\n".join(bodies)
    return f"<root><returns>{listed}</returns><statut><id>1</id></statut></root>".encode()


def read_export(*chunks: bytes) -> list[SpartooReturn]:
    reader = ExportReader(returns(PARIS))
    return list(everything(reader, chunks))


def ids(found: list[SpartooReturn]) -> list[str | None]:
    return [one.id for one in found]


def read(xml: str) -> MarketplaceReturn:
    return SpartooReturn.from_xml(xml.encode(), PARIS).read()


def reason(xml: str) -> str:
    with pytest.raises(UnreadableOrder) as caught:
        read(xml)
    return str(caught.value)


class TestOne:
    def test_every_field(self) -> None:
        assert read(FULL) == MarketplaceReturn(
            return_id=ReturnId("7B0C"),
            order_id=OrderId("3FF75E96C3434E92"),
            status=2,
            requested_at=datetime(2026, 11, 20, 9, 12, tzinfo=PARIS),
            reason='trop petit & "serré"',
            item=ReturnItem("98", 123, "Bottes", "Marque", "38", "noir"),
        )

    def test_the_least_a_return_may_have(self) -> None:
        assert read(rma("B2")).item == ReturnItem()
        assert read(rma("B2")).reason == ""

    def test_a_date_may_be_the_timestamp_that_is_sent(self) -> None:
        found = read(FULL.replace("2026-11-20 09:12:00", "1795162320"))
        assert found.requested_at == datetime(2026, 11, 20, 8, 12, tzinfo=UTC)
        assert found.requested_at.isoformat() == "2026-11-20T09:12:00+01:00"

    @pytest.mark.parametrize(
        ("was", "is_", "told"),
        [
            (" 7B0C ", "", "return_id: missing, expected 1 to 64 characters"),
            ("3FF75E96C3434E92", "", "order: missing, expected 1 to 64 characters"),
            ("<return_status>2", "<return_status>deux", "return_status: 'deux' is not a whole"),
            ("2026-11-20 09:12:00", "", "return_date: missing, expected a date"),
            ("2026-11-20 09:12:00", "0000-00-00 00:00:00", "return_date: '0000-00-00 00:00:00'"),
            ("2026-11-20 09:12:00", "12", "return_date: '12' is not a date"),
            ("<errors/>", "<errors><error><id>-6</id></error></errors>", "answers -6 for this ret"),
        ],
    )
    def test_what_is_refused(self, was: str, is_: str, told: str) -> None:
        assert told in reason(FULL.replace(was, is_))

    def test_refusals_do_not_repeat_the_customer(self) -> None:
        assert "serré" not in reason(FULL.replace("</product>", ""))
        assert "serré" not in repr(SpartooReturn.from_xml(FULL.encode(), PARIS))
        assert reason("<order/>") == "return: found an element 'order' in its place"
        assert reason(rma("B2", "x" * LARGEST_ELEMENT)).startswith("return: its XML is over")

    def test_it_is_what_the_port_wants(self) -> None:
        found: ExportedReturn = SpartooReturn.from_xml(FULL.encode(), PARIS)
        assert found.id == "7B0C"
        assert len(found.fingerprint) == 16
        assert found.xml == FULL.encode()


class TestStream:
    def test_an_export_is_cut_into_its_returns(self) -> None:
        found = read_export(export(rma("A1"), FULL, rma("C3")))
        assert ids(found) == ["A1", "7B0C", "C3"]
        assert found[1].read() == read(FULL)
        assert found[0].fingerprint != found[2].fingerprint

    def test_the_order_a_return_names_is_no_item(self) -> None:
        body = export(rma("A1", "<order_extra/><orders>9</orders>"), rma("B2"))
        assert ids(read_export(body)) == ["A1", "B2"]

    @pytest.mark.parametrize(
        "bad",
        [
            FULL.replace("7B0C", "BAD").replace("</product>", ""),
            rma("BAD", "<x>a < b</x>"),
            rma("BAD").removesuffix("</return>"),
            rma("BAD", f"<x>{'y' * LARGEST_ELEMENT}</x>"),
        ],
        ids=["tag left open", "bare <", "its end is missing", "too large"],
    )
    def test_one_bad_return_holds_up_no_other(self, bad: str) -> None:
        body = export(rma("A1"), bad, rma("C3"))
        found = read_export(body)
        assert ids(found) == ["A1", "BAD", "C3"]
        assert found[2].read().order_id == "A1"
        with pytest.raises(UnreadableOrder):
            found[1].read()
        step = max(1, len(body) // 500)
        assert read_export(*(body[at : at + step] for at in range(0, len(body), step))) == found

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (b"", "an empty answer"),
            (export(rma("A1"))[:-30], "cut-off"),
            (b"<root><other/></root>", "XML without returns or a result code"),
            (b"<root><a></b></root>", "XML malformed outside its returns"),
        ],
    )
    def test_what_is_no_export(self, body: bytes, told: str) -> None:
        reader = ExportReader(returns(PARIS))
        with pytest.raises(TransportFault, match=told):
            list(everything(reader, [body]))
