"""The client's calls for parcels, returns, slips and stock: what is asked, what answers mean."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web

from adapters.ports import (
    AccountRejected,
    Label,
    Marketplace,
    MarketplaceError,
    NotFound,
    Rejected,
    StockLevel,
    Throttled,
    TransportFault,
    WrongChronology,
)
from adapters.spartoo.calls import Timeouts
from adapters.spartoo.slip import LARGEST_SLIP
from statemachine.model import ActionKind, ReturnId, Shipment, ShippedItem
from tests.integration.spartoo_server import KEY, ORDER, SINCE, Spartoo, coded, serve
from tests.unit.builders import line

RETURN = ReturnId("7B0C000000000001")
PDF = b"%PDF-1.4\n%\xe2\xe3\n..."
LINES = [line(1, "98", size_reference="98_38", quantity=2)]
LEVELS = [StockLevel("98", "98_38", 5), StockLevel("99", "99_40", 0)]


@pytest.fixture
async def spartoo() -> AsyncIterator[Spartoo]:
    async with serve() as server:
        yield server


def parcel(number: str, quantity: int) -> Shipment:
    return Shipment(number, "Colissimo", "Colissimo", (ShippedItem(1, quantity),), None)


def returns(*return_ids: str) -> str:
    listed = "".join(
        f"<return><return_id>{one}</return_id><return_date>2026-11-20 09:12:00</return_date>"
        "<return_status>2</return_status><order>A1</order></return>"
        for one in return_ids
    )
    return f"<root><returns>{listed}</returns><statut><id>1</id></statut></root>"


def slip(text: str, code: int | str = 1) -> str:
    return f"<root><bl><order_id>1</order_id><pdf>{text}</pdf></bl><errors>{code}</errors></root>"


class TestShipping:
    async def test_the_first_tracking_number_goes_with_the_status(self, spartoo: Spartoo) -> None:
        parcels = [parcel("1Z 9&é", 1), parcel("6A2", 1)]
        port: Marketplace = spartoo.client()
        await port.change_order(ORDER, ActionKind.SHIP, parcels, LINES)
        assert spartoo.asked == [
            (
                "POST /mp/xml_maj_orders.php",
                {"partenaire": KEY, "oID": ORDER, "statut": "3", "tracking_number": "1Z 9&é"},
            )
        ]

    async def test_every_parcel_goes_where_the_account_may(self, spartoo: Spartoo) -> None:
        client = spartoo.client(multi_package=True)
        await client.change_order(ORDER, ActionKind.SHIP, [parcel("6A1", 2)], LINES)
        await client.change_order(ORDER, ActionKind.CANCEL)
        shipped, cancelled = (fields for _, fields in spartoo.asked)
        assert shipped.keys() == {"partenaire", "oID", "xml"}
        assert "<tracking_number>6A1</tracking_number>" in shipped["xml"]
        assert cancelled == {"partenaire": KEY, "oID": ORDER, "statut": "41"}

    async def test_nothing_is_shipped_without_a_parcel(self, spartoo: Spartoo) -> None:
        with pytest.raises(ValueError, match="no parcel to ship"):
            await spartoo.client().change_order(ORDER, ActionKind.SHIP)
        assert spartoo.asked == []


class TestReturns:
    async def test_they_are_asked_for_by_timestamp_and_streamed(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text(returns("A1", "B2"))
        port: Marketplace = spartoo.client()
        found = [one async for one in port.export_returns(SINCE)]
        assert [one.id for one in found] == ["A1", "B2"]
        assert found[0].read().requested_at == SINCE
        assert spartoo.asked == [
            ("POST /mp/xml_export_returns.php", {"partenaire": KEY, "date": "1795162320"})
        ]
        assert spartoo.before == ["xml_export_returns"]
        assert [(one.service, one.code) for one in spartoo.reports] == [("xml_export_returns", "1")]

    @pytest.mark.parametrize("body", [returns(), coded(-6)])
    async def test_there_may_be_none(self, spartoo: Spartoo, body: str) -> None:
        spartoo.answer = spartoo.text(body)
        assert [one async for one in spartoo.client().export_returns(SINCE)] == []

    async def test_a_moment_without_zone_is_our_mistake(self, spartoo: Spartoo) -> None:
        naive = datetime(2026, 11, 20)  # noqa: DTZ001 - what is tested
        with pytest.raises(ValueError, match="time zone"):
            _ = [one async for one in spartoo.client().export_returns(naive)]

    async def test_one_return(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text(returns(RETURN.lower()))
        assert (await spartoo.client().fetch_return(RETURN)).read().order_id == "A1"
        assert spartoo.asked[0][1] == {"partenaire": KEY, "rID": RETURN}
        spartoo.answer = spartoo.text(returns())
        with pytest.raises(NotFound, match="return not found"):
            await spartoo.client().fetch_return(RETURN)
        spartoo.answer = spartoo.text(returns("B2"))
        with pytest.raises(TransportFault, match="other returns than the one asked for"):
            await spartoo.client().fetch_return(RETURN)

    @pytest.mark.parametrize(
        ("kind", "status"), [(ActionKind.RETURN_ACCEPT, "4"), (ActionKind.RETURN_REFUSE, "3")]
    )
    async def test_accepting_and_refusing(
        self, spartoo: Spartoo, kind: ActionKind, status: str
    ) -> None:
        await spartoo.client().change_return(RETURN, kind)
        assert spartoo.asked == [
            (
                "POST /mp/xml_maj_returns.php",
                {"partenaire": KEY, "rID": RETURN, "statut": status},
            )
        ]

    async def test_a_label_link(self, spartoo: Spartoo) -> None:
        label = Label(link="https://labels.example.com/1?a=b&c")
        await spartoo.client().change_return(RETURN, ActionKind.RETURN_LABEL, label)
        assert spartoo.asked[0][1] == {"partenaire": KEY, "rID": RETURN, "label_link": label.link}

    async def test_a_label_file_is_uploaded(self, spartoo: Spartoo) -> None:
        received: dict[str, Any] = {}

        async def answer(request: web.Request) -> web.Response:
            file = (await request.post())["label_file"]
            assert isinstance(file, web.FileField)
            received.update(name=file.filename, type=file.content_type, pdf=file.file.read())
            return web.Response(text="<root><errors>1</errors></root>")

        spartoo.answer = answer
        await spartoo.client().change_return(RETURN, ActionKind.RETURN_LABEL, Label(pdf=PDF))
        assert received == {"name": "label_file.pdf", "type": "application/pdf", "pdf": PDF}
        assert spartoo.asked[0][1] == {"partenaire": KEY, "rID": RETURN}

    @pytest.mark.parametrize(
        ("kind", "label", "told"),
        [
            (ActionKind.RETURN_LABEL, None, "label is missing"),
            (ActionKind.RETURN_LABEL, Label(pdf=b"GIF89a"), "no PDF"),
            (ActionKind.RETURN_LABEL, Label(link="label.pdf"), "label link"),
            (ActionKind.ACCEPT, None, "changes no return"),
        ],
    )
    async def test_what_is_not_sent(
        self, spartoo: Spartoo, kind: ActionKind, label: Label | None, told: str
    ) -> None:
        with pytest.raises(ValueError, match=told):
            await spartoo.client().change_return(RETURN, kind, label)
        assert spartoo.asked == []

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (-5, Rejected),
            (-6, NotFound),
            (-7, WrongChronology),
            (-22, TransportFault),
            (-23, TransportFault),
            (-24, Rejected),
            (-428, AccountRejected),
            (-429, Throttled),
        ],
    )
    async def test_result_codes(
        self, spartoo: Spartoo, code: int, kind: type[MarketplaceError]
    ) -> None:
        spartoo.answer = spartoo.text(f"<root><errors>{code}</errors></root>")
        with pytest.raises(kind) as caught:
            await spartoo.client().change_return(RETURN, ActionKind.RETURN_ACCEPT)
        assert (caught.value.code, caught.value.message[:21]) == (code, "xml_maj_returns.php (")

    @pytest.mark.parametrize("code", [-9, -25])
    async def test_already_so(self, spartoo: Spartoo, code: int) -> None:
        spartoo.answer = spartoo.text(f"<root><errors>{code}</errors></root>")
        await spartoo.client().change_return(RETURN, ActionKind.RETURN_ACCEPT)


class TestSlips:
    @pytest.mark.parametrize("code", ["1", ""])
    async def test_as_base64(self, spartoo: Spartoo, code: str) -> None:
        spartoo.answer = spartoo.text(slip(b64encode(PDF).decode(), code))
        port: Marketplace = spartoo.client()
        assert await port.delivery_slip(ORDER, LINES) == PDF
        ((asked, fields),) = spartoo.asked
        assert asked == "POST /mp/xml_export_bl.php"
        assert f"<order_id>{ORDER}</order_id>" in fields["xml"]
        assert [one.code for one in spartoo.reports] == [code or "none"]

    async def test_as_a_link_that_is_followed_without_the_key(self, spartoo: Spartoo) -> None:
        link = f"{spartoo.base_url}slips/1.pdf?a=1&amp;b=2"

        async def answer(request: web.Request) -> web.Response:
            if request.method == "GET":
                assert request.query_string == "a=1&b=2"
                return web.Response(body=PDF)
            return web.Response(text=slip(link))

        spartoo.answer = answer
        assert await spartoo.client().delivery_slip(ORDER, LINES) == PDF
        assert spartoo.asked[1] == ("GET /mp/slips/1.pdf", {})
        assert spartoo.before == ["xml_export_bl"]
        assert [one.code for one in spartoo.reports] == ["1"]

    async def test_a_large_one(self, spartoo: Spartoo) -> None:
        large = PDF.ljust(LARGEST_SLIP)
        spartoo.answer = spartoo.text(slip(b64encode(large).decode()))
        assert await spartoo.client().delivery_slip(ORDER, LINES) == large

    @pytest.mark.parametrize(
        ("body", "told", "code"),
        [
            (slip(""), "without the delivery slip", "bad_slip"),
            (slip(b64encode(b"<html>").decode()), "no PDF", "bad_slip"),
            (slip("&lt;html>"), "neither link nor base64", "bad_slip"),
            (slip("http://127.0.0.1:1/x.pdf"), "lies elsewhere", "bad_slip"),
            (slip("http://127.0.0.1:99999/x"), "lies elsewhere", "bad_slip"),
            (slip("{base}slips/404"), "HTTP status 404", "http_404"),
            (slip("{base}slips/302"), "a redirect, which is not followed", "http_302"),
            (slip("{base}slips/large"), f"over {LARGEST_SLIP} bytes", "bad_slip"),
            (slip("{base}slips/html"), "no PDF", "bad_slip"),
            (slip("x" * (LARGEST_SLIP * 2)), "an answer of over", "bad_xml"),
            ("<root><bl>", "cut-off", "bad_xml"),
        ],
    )
    async def test_what_is_no_slip(self, spartoo: Spartoo, body: str, told: str, code: str) -> None:
        spartoo.answer = _linked(body.replace("{base}", spartoo.base_url))
        with pytest.raises(TransportFault, match=told) as caught:
            await spartoo.client().delivery_slip(ORDER, LINES)
        assert caught.value.service == "xml_export_bl"
        assert caught.value.message.startswith("xml_export_bl.php (site fr): ")
        assert [one.code for one in spartoo.reports] == [code]

    async def test_a_link_that_never_answers(self, spartoo: Spartoo) -> None:
        never = asyncio.Event()

        async def answer(request: web.Request) -> web.Response:
            if request.method == "GET":
                await never.wait()
            return web.Response(text=slip(f"{spartoo.base_url}slips/1"))

        spartoo.answer = answer
        with pytest.raises(TransportFault, match="no answer in time"):
            await spartoo.client(Timeouts(change=0.2)).delivery_slip(ORDER, LINES)
        assert [one.code for one in spartoo.reports] == ["timeout"]

    async def test_an_unknown_order(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text("<root><errors>-6</errors></root>")
        with pytest.raises(NotFound):
            await spartoo.client().delivery_slip(ORDER, LINES)


def _linked(body: str) -> Any:
    async def answer(request: web.Request) -> web.Response:
        match request.path.rsplit("/", 1)[-1]:
            case "302":
                return web.Response(status=302, headers={"Location": "/elsewhere"})
            case "404":
                return web.Response(status=404)
            case "large":
                return web.Response(body=PDF.ljust(LARGEST_SLIP + 1))
            case "html":
                return web.Response(text="<html>")
            case _:
                return web.Response(text=body)

    return answer


class TestStock:
    async def test_it_goes_in_batches_and_comes_back_in_order(self, spartoo: Spartoo) -> None:
        answers = iter([coded(1), coded(-18), "<root><errors>-16</errors></root>"])

        async def answer(request: web.Request) -> web.Response:
            return web.Response(text=next(answers))

        spartoo.answer = answer
        levels = [StockLevel(str(n), f"{n}_38", n) for n in range(1001)] + [StockLevel("", "x", 1)]
        port: Marketplace = spartoo.client()
        reasons = await port.push_stock(levels)
        assert reasons[:1000] == [None] * 1000
        assert reasons[1000] == "-16: stock cannot be set to that quantity"
        assert reasons[1001] == "the product has no reference there; not sent"
        assert [fields["xml"].count("<product>") for _, fields in spartoo.asked] == [500, 500, 1]
        assert [one.code for one in spartoo.reports] == ["1", "-18", "-16"]

    async def test_nothing_is_not_sent(self, spartoo: Spartoo) -> None:
        assert await spartoo.client().push_stock([]) == []
        assert spartoo.asked == []

    @pytest.mark.parametrize(
        ("code", "kind"), [(-2, AccountRejected), (-428, AccountRejected), (-429, Throttled)]
    )
    async def test_what_concerns_the_account(
        self, spartoo: Spartoo, code: int, kind: type[MarketplaceError]
    ) -> None:
        inside = f"<product><errors><error><id>{code}</id></error></errors></product>"
        for body in (coded(code), f"<root><products>{inside}</products></root>"):
            spartoo.answer = spartoo.text(body)
            with pytest.raises(kind) as caught:
                await spartoo.client().push_stock(LEVELS)
            assert caught.value.service == "xml_maj_stock_batch"
        assert [one.code for one in spartoo.reports] == [str(code)] * 2

    @pytest.mark.parametrize("body", ["", "<html>", "<root/>", "<root><products>"])
    async def test_what_is_no_answer(self, spartoo: Spartoo, body: str) -> None:
        spartoo.answer = spartoo.text(body)
        with pytest.raises(TransportFault):
            await spartoo.client().push_stock(LEVELS)
        assert [one.code for one in spartoo.reports] == ["bad_xml"]
