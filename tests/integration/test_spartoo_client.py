"""The client: what it asks, what it makes of the answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest
from aiohttp import web

from adapters.ports import (
    AccountRejected,
    Marketplace,
    NotFound,
    TransportFault,
)
from adapters.spartoo import SpartooMarketplace
from statemachine.connection import ConnectionSettings
from statemachine.model import ActionKind
from tests.integration.spartoo_server import (
    KEY,
    ORDER,
    SINCE,
    Spartoo,
    coded,
    dripping,
    export,
    exported,
    order,
    serve,
)


@pytest.fixture
async def spartoo() -> AsyncIterator[Spartoo]:
    async with serve() as server:
        yield server


class TestReading:
    async def test_an_export_is_asked_for_and_streamed(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text(export("A1", "B2"))
        client = spartoo.client()
        port: Marketplace = client
        found = [one async for one in port.export_orders(SINCE)]
        assert [one.id for one in found] == ["A1", "B2"]
        assert found[0].read().currency == "EUR"
        assert found[0].read().purchased_at == SINCE
        assert spartoo.asked == [
            (
                "POST /mp/xml_export_orders.php",
                {"partenaire": KEY, "date": "2026-11-20:09:12:00"},
            )
        ]
        assert spartoo.before == ["xml_export_orders"]
        (report,) = spartoo.reports
        assert (report.service, report.code) == ("xml_export_orders", "1")
        assert 0 < report.seconds < 60

    async def test_zone_currency_and_site_are_the_connections(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text(export("A1"))
        client = spartoo.client(site="pl", timezone="America/New_York")
        (found,) = [one async for one in client.export_orders(SINCE)]
        assert found.read().currency == "PLN"
        assert found.read().purchased_at - SINCE == timedelta(hours=6)
        assert spartoo.asked[0][1]["date"] == "2026-11-20:03:12:00"
        (own,) = [one async for one in spartoo.client(currency="SEK").export_orders(SINCE)]
        assert own.read().currency == "SEK"

    async def test_a_moment_without_zone_is_our_mistake(self, spartoo: Spartoo) -> None:
        naive = SINCE.replace(tzinfo=None)
        with pytest.raises(ValueError, match="time zone"):
            _ = [one async for one in spartoo.client().export_orders(naive)]
        assert spartoo.asked == []

    async def test_orders_arrive_before_the_export_has_ended(self, spartoo: Spartoo) -> None:
        go_on = asyncio.Event()
        head, mark, tail = export("A1", "B2").partition("<orders_id>B2")
        spartoo.answer = dripping(head, then=go_on, last=mark + tail)
        async with aclosing(spartoo.client().export_orders(SINCE)) as orders:
            assert (await anext(orders)).id == "A1"
            go_on.set()
            assert [one.id async for one in orders] == ["B2"]

    async def test_an_abandoned_export_is_closed_and_reported(self, spartoo: Spartoo) -> None:
        ended = asyncio.Event()
        never = asyncio.Event()

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return await dripping(export("A1")[:-20], then=never)(request)
            finally:
                ended.set()

        spartoo.answer = answer
        orders = spartoo.client().export_orders(SINCE)
        assert (await anext(orders)).id == "A1"
        await orders.aclose()
        await asyncio.wait_for(ended.wait(), 10)
        assert [report.code for report in spartoo.reports] == ["abandoned"]

    @pytest.mark.parametrize("body", [export(), coded(-6), "<root><errors>-6</errors></root>"])
    async def test_no_orders(self, spartoo: Spartoo, body: str) -> None:
        spartoo.answer = spartoo.text(body)
        assert await exported(spartoo.client()) == []
        await spartoo.client().test()

    async def test_one_order(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text(export(ORDER))
        found = await spartoo.client().fetch_order(ORDER)
        assert found.read().order_id == ORDER
        assert spartoo.asked[0][1] == {"partenaire": KEY, "oID": ORDER}

    @pytest.mark.parametrize(
        "body",
        [
            export(),
            coded(-6),
            order(ORDER).replace("</order>", "<errors><error><id>-6</id></error></errors></order>"),
        ],
    )
    async def test_an_order_unknown_there(self, spartoo: Spartoo, body: str) -> None:
        if body.startswith("<order>"):
            body = f"<root><orders>{body}</orders></root>"
        spartoo.answer = spartoo.text(body)
        with pytest.raises(NotFound) as caught:
            await spartoo.client().fetch_order(ORDER)
        assert caught.value.code == -6

    async def test_an_order_that_cannot_be_read_is_still_the_one(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text("<root><orders><order>< </order></orders></root>")
        assert (await spartoo.client().fetch_order(ORDER)).id == ORDER

    async def test_another_order_than_asked_for(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text(export("A1"))
        with pytest.raises(TransportFault, match="other orders than the one asked for"):
            await spartoo.client().fetch_order(ORDER)

    async def test_the_key_is_tried(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text(export())
        await spartoo.client().test()
        spartoo.answer = spartoo.text(coded(-2))
        with pytest.raises(AccountRejected) as caught:
            await spartoo.client().test()
        assert caught.value.reason == "bad_key"


class TestChanging:
    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            (ActionKind.ACCEPT, "2"),
            (ActionKind.CANCEL, "41"),
            (ActionKind.LOSE, "45"),
            (ActionKind.UNDELIVER, "47"),
        ],
    )
    async def test_what_is_sent(self, spartoo: Spartoo, kind: ActionKind, status: str) -> None:
        await spartoo.client().change_order(ORDER, kind)
        assert spartoo.asked == [
            (
                "POST /mp/xml_maj_orders.php",
                {"partenaire": KEY, "oID": ORDER, "statut": status},
            )
        ]
        assert spartoo.before == ["xml_maj_orders"]

    @pytest.mark.parametrize("kind", [ActionKind.FETCH, ActionKind.RETURN_ACCEPT])
    async def test_what_changes_no_order(self, spartoo: Spartoo, kind: ActionKind) -> None:
        with pytest.raises(ValueError, match="changes no order"):
            await spartoo.client().change_order(ORDER, kind)
        assert spartoo.asked == []

    async def test_an_answer_without_code_leaves_the_outcome_unknown(
        self, spartoo: Spartoo
    ) -> None:
        spartoo.answer = spartoo.text("<root/>")
        with pytest.raises(TransportFault, match="without a result code"):
            await spartoo.client().change_order(ORDER, ActionKind.ACCEPT)

    async def test_an_answer_without_end_is_cut(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text("<root>" + "x" * (1 << 21))
        with pytest.raises(TransportFault, match="over 1048576 bytes") as caught:
            await spartoo.client().change_order(ORDER, ActionKind.ACCEPT)
        assert len(caught.value.received or "") == 500


def test_an_unknown_site_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="site 'us' is not one of"):
        SpartooMarketplace(None, ConnectionSettings(id="x", site="us"), KEY)  # type: ignore[arg-type]  # never reached
