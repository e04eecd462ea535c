"""The client against an HTTP server on loopback that answers what a test tells it to."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from adapters.ports import (
    AccountRejected,
    Marketplace,
    MarketplaceError,
    NotFound,
    Rejected,
    Throttled,
    TransportFault,
    WrongChronology,
)
from adapters.spartoo import CallReport, SpartooMarketplace
from adapters.spartoo.client import Timeouts
from statemachine.connection import ConnectionSettings
from statemachine.model import ActionKind, OrderId

KEY = "0123456789ABCDEF"
ORDER = OrderId("3FF75E96C3434E92")
SINCE = datetime(2026, 11, 20, 8, 12, tzinfo=UTC)
OK = "<root><statut><id>1</id></statut></root>"

NORMAL = Timeouts()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def order(order_id: str) -> str:
    return (
        f"<order><orders_id>{order_id}</orders_id><orders_status_id>11</orders_status_id>"
        "<date_purchased>2026-11-20 09:12:00</date_purchased><products><product>"
        "<products_qty>1</products_qty><products_price_unit>64.90</products_price_unit>"
        "</product></products></order>"
    )


def export(*order_ids: str) -> str:
    body = "".join(map(order, order_ids))
    return f"<root><orders>{body}</orders><statut><id>1</id></statut></root>"


def coded(code: int, description: str = "") -> str:
    text = f"<statut><id>{code}</id><description>{description}</description></statut>"
    return f"<root>{text}</root>"


class Spartoo:
    """A server with one answer at a time, and a client for it; both remember what they saw."""

    def __init__(self) -> None:
        self.answer: Handler = self.text(OK)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.reports: list[CallReport] = []
        self.before: list[str] = []
        self.base_url = ""
        self.session: ClientSession | None = None

    @staticmethod
    def text(body: str | bytes, status: int = 200) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            data = body.encode() if isinstance(body, str) else body
            return web.Response(body=data, status=status, content_type="text/xml")

        return answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        self.asked.append((f"{request.method} {request.path}", fields))
        return await self.answer(request)

    def client(
        self, timeouts: Timeouts = NORMAL, base_url: str | None = None, **settings: object
    ) -> SpartooMarketplace:
        async def before_call(service: str) -> None:
            self.before.append(service)

        assert self.session is not None
        connection = ConnectionSettings.model_validate(
            {"id": "shoes-fr", "base_url": base_url or self.base_url, **settings}
        )
        return SpartooMarketplace(
            self.session,
            connection,
            KEY,
            on_call=self.reports.append,
            before_call=before_call,
            timeouts=timeouts,
        )


@pytest.fixture
async def spartoo() -> AsyncIterator[Spartoo]:
    server = Spartoo()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.base_url = f"http://{host}:{port}/mp/"
    async with ClientSession() as server.session:
        yield server
    await runner.cleanup()


async def exported(client: SpartooMarketplace) -> list[str | None]:
    return [found.order_id async for found in client.export_orders(SINCE)]


def dripping(
    first: str, then: asyncio.Event | None = None, last: str = "", cut: bool = False
) -> Handler:
    """Send the first part, wait for the event, send the last, and maybe drop the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(first.encode())
        if then is not None:
            await then.wait()
        await response.write(last.encode())
        if cut and request.transport is not None:
            request.transport.close()
        return response

    return answer


class TestReading:
    async def test_an_export_is_asked_for_and_streamed(self, spartoo: Spartoo) -> None:
        spartoo.answer = spartoo.text(export("A1", "B2"))
        client = spartoo.client()
        port: Marketplace = client
        found = [one async for one in port.export_orders(SINCE)]
        assert [one.order_id for one in found] == ["A1", "B2"]
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
            assert (await anext(orders)).order_id == "A1"
            go_on.set()
            assert [one.order_id async for one in orders] == ["B2"]

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
        assert (await anext(orders)).order_id == "A1"
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
        assert (await spartoo.client().fetch_order(ORDER)).order_id is None

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
        ("kind", "status"), [(ActionKind.ACCEPT, "2"), (ActionKind.CANCEL, "41")]
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

    async def test_a_tracking_number_goes_with_it(self, spartoo: Spartoo) -> None:
        await spartoo.client().change_order(ORDER, ActionKind.ACCEPT, "1Z 9&é")
        assert spartoo.asked[0][1]["tracking_number"] == "1Z 9&é"

    async def test_fetching_changes_nothing(self, spartoo: Spartoo) -> None:
        with pytest.raises(ValueError, match="changes nothing"):
            await spartoo.client().change_order(ORDER, ActionKind.FETCH)
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


async def do_export(client: SpartooMarketplace) -> None:
    await exported(client)


async def do_fetch(client: SpartooMarketplace) -> None:
    await client.fetch_order(ORDER)


async def do_change(client: SpartooMarketplace) -> None:
    await client.change_order(ORDER, ActionKind.ACCEPT)


EVERY_CALL = pytest.mark.parametrize("call", [do_export, do_fetch, do_change])
Call = Callable[[SpartooMarketplace], Awaitable[None]]


class TestFailures:
    @EVERY_CALL
    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (-1, AccountRejected),
            (-2, AccountRejected),
            (-3, Rejected),
            (-5, Rejected),
            (-7, WrongChronology),
            (-11, Rejected),
            (-15, Rejected),
            (-22, TransportFault),
            (-428, AccountRejected),
            (-429, Throttled),
            (-777, Rejected),
        ],
    )
    async def test_result_codes(
        self, spartoo: Spartoo, call: Call, code: int, kind: type[MarketplaceError]
    ) -> None:
        spartoo.answer = spartoo.text(coded(code, "why"))
        with pytest.raises(MarketplaceError) as caught:
            await call(spartoo.client())
        assert type(caught.value) is kind
        assert caught.value.code == code
        assert "why" in caught.value.message
        assert "(site fr)" in str(caught.value)
        assert [one.code for one in spartoo.reports] == ["other" if code == -777 else str(code)]

    @pytest.mark.parametrize("code", [-9, -18, 1])
    async def test_codes_that_mean_done(self, spartoo: Spartoo, code: int) -> None:
        spartoo.answer = spartoo.text(f"<root><errors>{code}</errors></root>")
        await do_change(spartoo.client())
        assert [one.code for one in spartoo.reports] == [str(code)]

    @EVERY_CALL
    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ("", "empty"),
            ("<html><body>Down for maintenance</body></html>", "HTML"),
            ("Fatal error", "no XML"),
            ("<root><orders><order>", "cut-off"),
        ],
    )
    async def test_what_is_no_answer(
        self, spartoo: Spartoo, call: Call, body: str, told: str
    ) -> None:
        spartoo.answer = spartoo.text(body)
        with pytest.raises(TransportFault, match=told) as caught:
            await call(spartoo.client())
        assert caught.value.received == body
        assert [one.code for one in spartoo.reports] == ["bad_xml"]

    @EVERY_CALL
    @pytest.mark.parametrize("status", [204, 301, 302, 307, 400, 404, 500, 502, 503])
    async def test_http_status(self, spartoo: Spartoo, call: Call, status: int) -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(status=status, text=OK, headers={"Location": "/elsewhere"})

        spartoo.answer = answer
        with pytest.raises(TransportFault, match=f"HTTP status {status}") as caught:
            await call(spartoo.client())
        assert ("redirect" in caught.value.message) == (300 <= status < 400)
        assert len(spartoo.asked) == 1
        assert [one.code for one in spartoo.reports] == [f"http_{status}"]

    @EVERY_CALL
    async def test_no_answer_in_time(self, spartoo: Spartoo, call: Call) -> None:
        never = asyncio.Event()
        spartoo.answer = dripping("<root><orders>", then=never)
        with pytest.raises(TransportFault, match="no answer in time"):
            await call(spartoo.client(Timeouts(change=0.2, export_read=0.2)))
        assert [one.code for one in spartoo.reports] == ["timeout"]

    async def test_a_slow_export_is_fine_while_data_comes(self, spartoo: Spartoo) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for part in re.findall(".{1,30}", export("A1", "B2", "C3")):
                await response.write(part.encode())
                await asyncio.sleep(0.02)  # the pace is what is tested
            return response

        spartoo.answer = answer
        assert await exported(spartoo.client(Timeouts(export_read=0.5))) == ["A1", "B2", "C3"]

    async def test_an_export_that_drips_for_ever_ends(self, spartoo: Spartoo) -> None:
        spartoo.answer = dripping(export("A1")[:-20], then=asyncio.Event())
        client = spartoo.client(Timeouts(export=0.3))
        orders = client.export_orders(SINCE)
        assert (await anext(orders)).order_id == "A1"
        with pytest.raises(TransportFault, match="no answer in time"):
            await anext(orders)

    async def test_a_connection_lost_midway(self, spartoo: Spartoo) -> None:
        spartoo.answer = dripping(export("A1")[:-20], cut=True)
        orders = spartoo.client().export_orders(SINCE)
        assert (await anext(orders)).order_id == "A1"
        with pytest.raises(TransportFault, match="ClientPayloadError"):
            await anext(orders)
        assert [one.code for one in spartoo.reports] == ["connection"]

    @EVERY_CALL
    async def test_nobody_there(self, spartoo: Spartoo, call: Call) -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        closing = spartoo.client(base_url=f"http://127.0.0.1:{port}/mp")
        async with server:
            with pytest.raises(TransportFault, match=r"ServerDisconnectedError|ClientOSError"):
                await call(closing)
        with pytest.raises(TransportFault, match="ClientConnectorError"):
            await call(closing)
        assert [one.code for one in spartoo.reports] == ["connection", "connection"]

    async def test_a_connection_that_is_never_made(self, spartoo: Spartoo) -> None:
        """TLS that is never answered counts as connecting."""
        done = asyncio.Event()

        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await done.wait()
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            client = spartoo.client(Timeouts(connect=0.2), f"https://127.0.0.1:{port}/mp")
            with pytest.raises(TransportFault, match="no answer in time"):
                await do_export(client)
            done.set()

    async def test_what_before_call_raises_passes_through(self, spartoo: Spartoo) -> None:
        class NoBudget(Exception):
            pass

        async def refuse(service: str) -> None:
            raise NoBudget(service)

        assert spartoo.session is not None
        connection = ConnectionSettings(id="shoes-fr", base_url=spartoo.base_url)
        client = SpartooMarketplace(
            spartoo.session, connection, KEY, on_call=spartoo.reports.append, before_call=refuse
        )
        with pytest.raises(NoBudget, match="xml_maj_orders"):
            await do_change(client)
        assert (spartoo.asked, spartoo.reports) == ([], [])


class TestTheKey:
    ECHO = f"partenaire {KEY} or {KEY.lower()}"

    @EVERY_CALL
    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, coded(-2, ECHO)),
            (200, coded(-777, ECHO)),
            (200, f"<html>{ECHO}</html>"),
            (200, f"{'x' * 490}{ECHO}"),
            (500, ECHO),
            (200, f"<root><orders><order>{ECHO}"),
        ],
    )
    async def test_is_never_shown(
        self, spartoo: Spartoo, call: Call, status: int, body: str
    ) -> None:
        spartoo.answer = spartoo.text(body, status)
        client = spartoo.client()
        with capture_logs() as logs, pytest.raises(MarketplaceError) as caught:
            await call(client)
        error: BaseException | None = caught.value
        shown = [repr(client), str(client), repr(logs), repr(spartoo.reports)]
        while error is not None:
            shown += [repr(error), str(error), repr(vars(error))]
            error = error.__context__
        assert logs
        assert not [text for text in shown if KEY[:8].lower() in text.lower()]


def test_an_unknown_site_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="site 'us' is not one of"):
        SpartooMarketplace(None, ConnectionSettings(id="x", site="us"), KEY)  # type: ignore[arg-type]  # never reached
