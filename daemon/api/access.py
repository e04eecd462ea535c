"""Who may ask: whoever has the token; without one this machine's programs, never a web page."""

from urllib.parse import urlsplit

from aiohttp import web

from daemon.api.problems import Handler, problem
from daemon.settings import is_loopback
from daemon.token_guard import TOKEN_GUARD, TokenGuard

_READS = {"GET", "HEAD"}
_NO_BEARER = "\0"  # another scheme: no token at all
_CHALLENGE = 'Bearer realm="spartoo-sync"'


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let those pass who may; tell the others why not."""
    guard = request.config_dict[TOKEN_GUARD]
    refusal = _of_a_page(request) if guard.token is None else _without_token(request, guard)
    return await handler(request) if refusal is None else refusal


def _without_token(request: web.Request, guard: TokenGuard) -> web.Response | None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    given = given.strip() if scheme.lower() == "bearer" or not given else _NO_BEARER
    if given and guard.fits(request, given, "api"):
        return None
    if given and (wait := guard.wait(request)) > 0:
        detail = f"too many wrong tokens; wait {wait:.0f} seconds"
        return problem(429, "too_many_tries", detail, headers={"Retry-After": f"{wait:.0f}"})
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
