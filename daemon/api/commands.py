"""Commands: the queue's own, said by an address; carried out at the same desk."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson
import structlog
from aiohttp import web

from daemon.api.routes import Answer, Asked, Routes
from daemon.api.shapes import ref
from daemon.command_messages import AnyCommand
from statemachine.facts import Refused

log = structlog.get_logger(__name__)

BY = "api"
_ANSWERS = {
    200: Answer("Done", ref("reply")),
    202: Answer("The action for Spartoo is stored; its outcome is an event", ref("reply")),
}


def command(
    routes: Routes,
    method: str,
    path: str,
    model: type[Any],
    name: str,
    summary: str,
    in_query: tuple[str, ...] = (),
) -> None:
    """Serve a command under an address; `Idempotency-Key` is its id."""
    serve = routes.add(
        method,
        path,
        model,
        _ANSWERS,
        summary=summary,
        fixed={"command": name},
        in_query=in_query,
        in_header={"id": "Idempotency-Key"},
        defaults=_defaults,
    )
    serve(carry_out)


def _defaults() -> Mapping[str, str]:
    return {"id": str(uuid4()), "by": BY}


async def carry_out(asked: Asked, asked_for: AnyCommand) -> web.Response:
    """Do it, once for each id. Raises Refused."""
    reply = await asked.parts.desk.carry_out(asked_for)
    about = {"command": asked_for.command, "command_id": asked_for.id, "by": asked_for.by}
    log.info("command carried out", **about, status=reply.status, error=reply.error)
    if reply.status == "refused":
        raise Refused(**orjson.loads(reply.body)["error"])
    status = 202 if reply.status == "queued" else 200
    return web.Response(body=reply.body, status=status, content_type="application/json")
