"""Answers made to hold the event loop, over real HTTP: it stays free, and the call ends."""

import asyncio
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from aiohttp import ClientSession, web

from adapters.ports import StockLevel, TransportFault
from adapters.spartoo import SpartooMarketplace
from statemachine.model import ActionKind
from tests.fixtures.loop_holds import held_by
from tests.integration.spartoo_server import ORDER, SINCE, Handler, Spartoo, serve
from tests.unit.hostile_answers import SHAPES, bomb

LONGEST_HOLD = 0.1


@pytest.fixture
async def spartoo() -> AsyncIterator[Spartoo]:
    async with serve() as server:
        yield server


async def export(client: SpartooMarketplace) -> int:
    return len([one async for one in client.export_orders(SINCE)])


async def change(client: SpartooMarketplace) -> None:
    await client.change_order(ORDER, ActionKind.ACCEPT)


async def slip(client: SpartooMarketplace) -> bytes:
    return await client.delivery_slip(ORDER, ())


async def push(client: SpartooMarketplace) -> None:
    await client.push_stock([StockLevel("98", "98_38", 3)])


Call = Callable[[SpartooMarketplace], Coroutine[Any, Any, Any]]


async def held(spartoo: Spartoo, call: Call, answer: Handler) -> tuple[Any, float]:
    """What the call ends with, and the longest that it held its loop."""
    spartoo.answer = answer

    async def work() -> Any:
        async with ClientSession() as session:
            try:
                return await call(spartoo.client(session=session))
            except TransportFault as fault:
                return fault

    return await held_by(work())


def packed(data: bytes, encoding: str = "gzip") -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=data, headers={"Content-Encoding": encoding})

    return answer


async def test_what_swells_when_unpacked_is_given_up(spartoo: Spartoo) -> None:
    ended, longest = await held(spartoo, export, packed(bomb(100)))
    assert isinstance(ended, TransportFault)
    assert "swells over 200 times" in ended.message
    assert longest < LONGEST_HOLD


async def test_what_was_packed_twice_is_no_xml(spartoo: Spartoo) -> None:
    twice = zlib.compress(bomb(20))
    ended, longest = await held(spartoo, export, packed(twice, "deflate"))
    assert isinstance(ended, TransportFault)
    assert longest < LONGEST_HOLD


@pytest.mark.parametrize(
    "name", ["broken orders", "many numbered orders", "bare ampersands", "one long text"]
)
async def test_an_export_gives_the_loop_back(spartoo: Spartoo, name: str) -> None:
    _, longest = await held(spartoo, export, Spartoo.text(SHAPES[name](1_000_000)))
    assert longest < LONGEST_HOLD


async def test_an_export_in_single_bytes_gives_the_loop_back(spartoo: Spartoo) -> None:
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in SHAPES["many numbered orders"](60_000))

    async def answer(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        transport.write(head + chunked + b"0\r\n\r\n")
        await asyncio.Event().wait()
        raise AssertionError

    read, longest = await held(spartoo, export, answer)
    assert read > 1000
    assert longest < LONGEST_HOLD


@pytest.mark.parametrize("call", [change, slip, push])
@pytest.mark.parametrize("name", ["bare ampersands", "references", "tiny elements", "result codes"])
async def test_a_short_answer_gives_the_loop_back(spartoo: Spartoo, call: Call, name: str) -> None:
    _, longest = await held(spartoo, call, Spartoo.text(SHAPES[name](1_000_000)))
    assert longest < LONGEST_HOLD


@pytest.mark.parametrize("text", [b64encode(b"%PDF-" + b"x" * 4_000_000), b"A \n" * 2_000_000])
async def test_a_large_slip_gives_the_loop_back(spartoo: Spartoo, text: bytes) -> None:
    body = b"<root><bl><pdf>" + text + b"</pdf></bl></root>"
    _, longest = await held(spartoo, slip, Spartoo.text(body))
    assert longest < LONGEST_HOLD
