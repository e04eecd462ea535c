"""An HTTP server on loopback that answers what a test tells it to, and clients for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import ClientSession, web

from adapters.spartoo import CallReport, SpartooMarketplace
from adapters.spartoo.calls import Timeouts
from statemachine.connection import ConnectionSettings
from statemachine.model import OrderId

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
        self,
        timeouts: Timeouts = NORMAL,
        base_url: str | None = None,
        session: ClientSession | None = None,
        **settings: object,
    ) -> SpartooMarketplace:
        @asynccontextmanager
        async def permit(service: str) -> AsyncIterator[None]:
            self.before.append(service)
            yield

        session = session or self.session
        assert session is not None
        connection = ConnectionSettings.model_validate(
            {"id": "shoes-fr", "base_url": base_url or self.base_url, **settings}
        )
        return SpartooMarketplace(
            session,
            connection,
            KEY,
            on_call=self.reports.append,
            permit=permit,
            timeouts=timeouts,
        )


@asynccontextmanager
async def serve() -> AsyncIterator[Spartoo]:
    """Run the server for a while, on a port of its own."""
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
    return [found.id async for found in client.export_orders(SINCE)]


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
