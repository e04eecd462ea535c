"""Who may ask: whoever has the token; without one this machine's programs, never a web page."""

import hmac
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import SecretStr

from daemon.api.problems import Handler, problem
from daemon.readiness import READINESS
from daemon.settings import is_loopback

_READS = {"GET", "HEAD"}
_CHALLENGE = 'Bearer realm="spartoo-sync"'


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let those pass who may; tell the others why not."""
    token = request.config_dict[READINESS].settings.http_token
    refusal = _of_a_page(request) if token is None else _without_token(request, token)
    return await handler(request) if refusal is None else refusal


def _without_token(request: web.Request, token: SecretStr) -> web.Response | None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = token.get_secret_value().encode()
    fits = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), expected)
    if scheme.lower() == "bearer" and fits:
        return None
    challenge = _CHALLENGE + (', error="invalid_token"' if given else "")
    headers = {"WWW-Authenticate": challenge}
    said = "this token is not the right one" if given else "a token is needed"
    detail = f"{said}: Authorization: Bearer …, as SPARTOO_SYNC_HTTP_TOKEN sets it"
    return problem(401, "unauthorized", detail, headers=headers)


def _of_a_page(request: web.Request) -> web.Response | None:
    """A browser on this machine may be made to ask by any page it shows (DNS rebinding, CSRF)."""
    host = request.headers.get("Host", "")
    if not is_loopback(host_name(host)):
        return problem(403, "foreign_host", "without a token only localhost is served")
    origin = request.headers.get("Origin")
    if request.method in _READS or origin is None or _place(origin) == host.lower():
        return None
    return problem(403, "foreign_origin", "without a token other sites' pages change nothing here")


def host_name(host: str) -> str:
    """The host without its port; empty where it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
