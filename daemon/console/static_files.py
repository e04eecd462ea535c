"""Scripts and styles, under names that hold a hash of their content: kept by browsers for good."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

_TYPES = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "txt": "text/plain",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is served."""

    hashed_name: str
    content_type: str
    body: bytes


def load() -> dict[str, StaticFile]:
    """Every file of the package's folder `static`, by its plain name."""
    found = {}
    for entry in (files(__package__) / "static").iterdir():
        stem, _, kind = entry.name.rpartition(".")
        if kind in _TYPES:
            body = entry.read_bytes()
            hashed = f"{stem}.{sha256(body).hexdigest()[:12]}.{kind}"
            found[entry.name] = StaticFile(hashed, _TYPES[kind], body)
    return found


def serving(
    static: Mapping[str, StaticFile],
    missing: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `/static/{name}`; `missing` answers for a name of another release."""
    by_name = {file.hashed_name: file for file in static.values()}

    async def serve(request: web.Request) -> web.StreamResponse:
        file = by_name.get(request.match_info["name"])
        if file is None:
            return await missing(request)
        return web.Response(
            body=file.body,
            content_type=file.content_type,
            charset="utf-8",
            headers={
                "Cache-Control": "public, max-age=31536000, immutable",
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )

    return serve
