"""What a request gives, read and checked: every fault named by the field it is in."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from daemon.command_messages import MAX_BYTES, decode_json, explain
from statemachine.facts import Refused

Model = TypeVar("Model", bound=BaseModel)


def bad(message: str) -> Refused:
    """The request cannot be understood."""
    return Refused("bad_command", message)


def query_of(request: web.Request, known: Collection[str]) -> dict[str, Any]:
    """The query's parameters. Raises Refused for one that is unknown or given twice."""
    for name in request.query:
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise bad(f"{_shown(name)}: unknown parameter; known are: {allowed}")
        if len(request.query.getall(name)) > 1:
            raise bad(f"{name}: given more than once")
    return dict(request.query)


async def body_of(request: web.Request) -> dict[str, Any]:
    """The body's JSON object; empty where there is no body.

    Raises Refused, HTTPRequestEntityTooLarge, HTTPUnsupportedMediaType.
    """
    body = await _bytes(request)
    if not body:
        return {}
    kind = request.content_type
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise web.HTTPUnsupportedMediaType(reason="Content-Type: must be application/json")
    try:
        fields = decode_json(body)
    except ValueError as error:
        raise bad(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise bad("the body is not a JSON object")
    return fields


async def _bytes(request: web.Request) -> bytes:
    """The body as it comes, up to what a command may have."""
    body = bytearray()
    if (request.content_length or 0) > MAX_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_BYTES, request.content_length or 0)
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_BYTES, len(body))
    return bytes(body)


def joined(address: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """What address and body say together. Raises Refused where they do not agree."""
    for name, said in address.items():
        if name in body and body[name] != said:
            raise bad(f"{name}: the address says otherwise; leave it out of the body")
    return {**body, **address}


def checked(model: type[Model], fields: Mapping[str, Any], names: Mapping[str, str]) -> Model:
    """The fields as the model takes them; `names` tells which header a field comes from."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise bad(explain(error, names=names)) from error


def _shown(name: str) -> str:
    return name if name.isprintable() and len(name) <= 80 else "a parameter"  # noqa: PLR2004 - a line
