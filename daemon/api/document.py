"""`GET /openapi.json`: the document that is checked in beside this file."""

from importlib.resources import files

from aiohttp import web

from daemon.api.routes import Answer, Asked, Nothing, Routes

routes = Routes()

FILE = files(__package__) / "openapi.json"


@routes.add("GET", "/openapi.json", Nothing, {200: Answer("This document", {"type": "object"})})
async def show_document(_asked: Asked, _: Nothing) -> web.Response:
    """Show this document."""
    return web.Response(body=FILE.read_bytes(), content_type="application/json")
