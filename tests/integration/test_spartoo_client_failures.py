"""The client when things go wrong: every code, time limit and cut, and never the key."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from adapters.ports import (
    AccountRejected,
    MarketplaceError,
    Rejected,
    Throttled,
    TransportFault,
    WrongChronology,
)
from adapters.spartoo import SpartooMarketplace
from adapters.spartoo.calls import Timeouts
from statemachine.connection import ConnectionSettings
from statemachine.model import ActionKind
from tests.integration.spartoo_server import (
    KEY,
    OK,
    ORDER,
    SINCE,
    Spartoo,
    coded,
    dripping,
    export,
    exported,
    serve,
)


@pytest.fixture
async def spartoo() -> AsyncIterator[Spartoo]:
    async with serve() as server:
        yield server


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
        assert caught.value.service in ("xml_export_orders", "xml_maj_orders")
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
            for part in re.findall(".{1,40}", export("A1", "B2", "C3")):
                await response.write(part.encode())
                await asyncio.sleep(0.1)  # the pace is what is tested
            return response

        spartoo.answer = answer
        assert await exported(spartoo.client(Timeouts(export_read=1.5))) == ["A1", "B2", "C3"]

    async def test_an_export_that_drips_for_ever_ends(self, spartoo: Spartoo) -> None:
        spartoo.answer = dripping(export("A1")[:-20], then=asyncio.Event())
        client = spartoo.client(Timeouts(export=2))
        orders = client.export_orders(SINCE)
        assert (await anext(orders)).id == "A1"
        with pytest.raises(TransportFault, match="no answer in time"):
            await anext(orders)

    async def test_a_connection_lost_midway(self, spartoo: Spartoo) -> None:
        spartoo.answer = dripping(export("A1")[:-20], cut=True)
        orders = spartoo.client().export_orders(SINCE)
        assert (await anext(orders)).id == "A1"
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

    async def test_what_permit_raises_passes_through(self, spartoo: Spartoo) -> None:
        class NoBudget(Exception):
            pass

        @asynccontextmanager
        async def refuse(service: str) -> AsyncIterator[None]:
            if service:
                raise NoBudget(service)
            yield

        assert spartoo.session is not None
        connection = ConnectionSettings(id="shoes-fr", base_url=spartoo.base_url)
        client = SpartooMarketplace(
            spartoo.session, connection, KEY, on_call=spartoo.reports.append, permit=refuse
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
