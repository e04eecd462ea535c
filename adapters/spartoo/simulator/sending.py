"""Putting an answer on the wire the way the plan says."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain

from aiohttp import web

from adapters.spartoo.simulator.plan import Plan, ResultCode, Silence, Whole
from adapters.spartoo.simulator.xml import Answer

_XML = "text/xml"


async def pause(closing: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the simulator closes."""
    if seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), seconds)


async def send(
    request: web.Request, answer: Answer, plan: Plan, closing: asyncio.Event
) -> web.StreamResponse:
    """Answer the request. One chunk goes with its length, more are streamed."""
    match plan.instead:
        case Whole(status, body, content_type):
            return web.Response(status=status, body=body, content_type=content_type)
        case Silence(seconds):
            await pause(closing, seconds)
            _hang_up(request)
            return web.Response()
        case ResultCode() | None:
            return await _send_body(request, answer, plan, closing)


async def _send_body(
    request: web.Request, answer: Answer, plan: Plan, closing: asyncio.Event
) -> web.StreamResponse:
    chunks = plan.body(answer)
    opening = [chunk for chunk in (next(chunks, None), next(chunks, None)) if chunk is not None]
    if len(opening) < 2 and not plan.drops:  # noqa: PLR2004 - one chunk is the whole answer
        return web.Response(body=b"".join(opening), content_type=_XML)
    return await _stream(request, chain(opening, chunks), plan, closing)


async def _stream(
    request: web.Request, chunks: Iterable[bytes], plan: Plan, closing: asyncio.Event
) -> web.StreamResponse:
    """Send chunk by chunk; a caller who goes away ends it quietly."""
    response = web.StreamResponse(headers={"Content-Type": _XML})
    with suppress(ConnectionError):
        await response.prepare(request)
        for chunk in chunks:
            if plan.drip is not None:
                await pause(closing, plan.drip.seconds)
            await response.write(chunk)
        if plan.drops:
            _hang_up(request)
    return response


def _hang_up(request: web.Request) -> None:
    """Close the connection after what was written; aiohttp then drops the rest of the answer."""
    if request.transport is not None:
        request.transport.close()
