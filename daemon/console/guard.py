"""What stands before every page: the parts, the host, the session, CSRF, errors and headers."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from traceback import extract_tb
from typing import Any
from urllib.parse import quote

import structlog
from aiohttp import BodyPartReader, ClientPayloadError, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDictProxy

from adapters.postgres import console_sessions
from adapters.postgres.errors import PostgresError
from adapters.postgres.paging import BadCursor
from daemon.api.access import host_name
from daemon.console import session as sessions
from daemon.console.rendering import Renderer
from daemon.console.session import Session
from daemon.console.visit import Complaint, Route, Visit, next_part
from daemon.readiness import READINESS
from daemon.settings import is_loopback
from daemon.wiring import Parts

log = structlog.get_logger(__name__)

CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"
TOO_LARGE = "What was sent is too large: a form has at most 1 MiB. Nothing was changed."
NO_DATABASE = "The database does not answer. Wait a moment, then try again."

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(slots=True)
class Console:
    """What the console keeps for the life of the process."""

    renderer: Renderer
    streams: int = 0  # open now


CONSOLE = web.AppKey("console", Console)
_VISIT = web.RequestKey("visit", Visit)  # once its session is known
_BROKEN = (HttpProcessingError, ClientPayloadError, web.RequestPayloadError, RuntimeError)
_LOGGED_OUT, _TOO_LARGE = 401, 413
_HEADINGS = {
    200: "One moment",
    400: "Not understood",
    401: "Logged out",
    403: "Refused",
    404: "Not found",
    413: "Too large",
    500: "Failed",
    503: "One moment",
}


def guarded(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The route as the application takes it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await _answer(route, request)
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return handle


async def _answer(route: Route, request: web.Request) -> web.StreamResponse:
    """The page, or one that says why not."""
    try:
        return await _admit(route, request)
    except Complaint as complaint:
        return await _told(request, complaint.status, complaint.message)
    except BadCursor as error:
        return await _told(request, 400, str(error))
    except PostgresError as error:
        log.warning("page without database", page=route.path, error=str(error))
        return _message(request, 503, NO_DATABASE)
    except web.HTTPException as error:
        return await _of_http(request, error)
    except ConnectionError:
        raise  # the browser went away
    except Exception as error:  # noqa: BLE001 - a page that fails must not take others with it
        name = type(error).__name__
        log.error("page failed", page=route.path, error=name, at=_where(error))  # noqa: TRY400 - the error's words may name a customer
        return await _told(request, 500, "This page failed; the daemon's log says why.")


async def _of_http(request: web.Request, error: web.HTTPException) -> web.Response:
    said = TOO_LARGE if error.status == _TOO_LARGE else error.text or error.reason
    response = await _told(request, error.status, said)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _where(error: Exception) -> list[str]:
    """The innermost calls; the error's own words may name a customer."""
    frames = extract_tb(error.__traceback__)[-4:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


async def _admit(route: Route, request: web.Request) -> web.StreamResponse:
    readiness = request.app[READINESS]
    token = readiness.settings.http_token
    if token is None:
        _check_host(request)
    if readiness.parts is None:
        return _starting(request)
    if _followed_from_elsewhere(request):
        return _message(request, 200, "One moment.", reload=0)
    parts = readiness.parts
    session = await _session(request, parts)
    fresh = session is None
    session = session or Session.begin()
    logged_in = session.logged_in(token)
    if not logged_in and not route.public:
        return _to_login(request)
    visit = await _visit(route, request, parts, session, logged_in=logged_in)
    response = await route.handler(visit)
    if fresh and not response.prepared and sessions.COOKIE not in response.cookies:
        sessions.give(request, response, parts.cipher, session)
    return response


def _check_host(request: web.Request) -> None:
    """Without a token only this machine may ask, by a name of its own: no foreign page can."""
    if not is_loopback(host_name(request.headers.get("Host", ""))):
        raise Complaint(
            421, "No login is set up, so the console answers to 127.0.0.1 and localhost only."
        )


def _followed_from_elsewhere(request: web.Request) -> bool:
    """A link from another site: the browser held its strict cookie back, and sends it next time.

    Without this, a new session would take the place of the one it has.
    """
    by_link = request.headers.get("Sec-Fetch-Site") == "cross-site"
    return by_link and request.method == "GET" and sessions.COOKIE not in request.cookies


async def _session(request: web.Request, parts: Parts) -> Session | None:
    session = sessions.read(request, parts.cipher)
    if session is None or session.password is None:
        return session
    async with parts.database.connection() as conn:
        ended = await console_sessions.ended(conn, session.id)
    return None if ended else session


def _to_login(request: web.Request) -> web.Response:
    if request.headers.get("HX-Request") == "true":
        return web.Response(status=401, headers={"HX-Redirect": "/login"})
    streams = "text/event-stream" in request.headers.get("Accept", "")
    if request.method in {"GET", "HEAD"} and not streams:
        target = quote(request.path_qs, safe="")
        return web.Response(status=303, headers={"Location": f"/login?next={target}"})
    raise Complaint(401, "You are logged out. Nothing was changed: log in, then do it again.")


async def _visit(
    route: Route, request: web.Request, parts: Parts, session: Session, *, logged_in: bool
) -> Visit:
    renderer = request.app[CONSOLE].renderer
    request[_VISIT] = visit = Visit(request, parts, renderer, session, logged_in)
    if route.method != "POST":
        return visit
    given = request.headers.get(CSRF_HEADER)
    if route.upload:
        upload, given = await _upload(request, given)
        visit = replace(visit, upload=upload)
    else:
        visit = replace(visit, form=await _form(request))
        given = given or str(visit.form.get(CSRF_FIELD, ""))
    if not session.expects(given or ""):
        raise Complaint(
            403, "This page is too old to be sent. Nothing was changed: reload it, then again."
        )
    return visit


async def _form(request: web.Request) -> MultiDictProxy[Any]:
    try:
        return await request.post()
    except (
        HttpProcessingError,
        ClientPayloadError,
        web.RequestPayloadError,
        RuntimeError,
    ) as error:
        raise Complaint(400, "The form could not be read: it is cut or broken.") from error
    except (ValueError, LookupError) as error:
        raise Complaint(400, "The form could not be read: it is not text in UTF-8.") from error


async def _upload(request: web.Request, given: str | None) -> tuple[MultipartReader, str | None]:
    """The body's reader, after its first field where the CSRF token came in no header."""
    if request.content_type != "multipart/form-data":
        raise Complaint(415, "A file is sent as multipart/form-data.")
    try:
        reader = await request.multipart()
    except ValueError as error:
        raise Complaint(400, "The upload could not be read: it names no boundary.") from error
    if given is None:
        part = await next_part(reader)
        if isinstance(part, BodyPartReader) and part.name == CSRF_FIELD:
            given = (await part.read_chunk(1024)).decode("ascii", "replace")
            await part.release()
    return reader, given


def _starting(request: web.Request) -> web.Response:
    response = _message(
        request, 503, "The daemon is starting: it waits for its database.", reload=2
    )
    response.headers["Retry-After"] = "2"
    return response


async def _told(request: web.Request, status: int, message: str) -> web.Response:
    """A page with one message, in the console's frame where it is somebody's who is logged in."""
    visit: Visit | None = request.get(_VISIT)
    if visit is not None and not visit.by_htmx:
        values = _values(status, message)
        with suppress(PostgresError):
            return await visit.page("message.html", status=status, **values)
    return _message(request, status, message)


def _message(
    request: web.Request, status: int, message: str, *, reload: int | None = None
) -> web.Response:
    """A page (or the part of one) with one message; loaded again after `reload` seconds."""
    template = "message.html"
    if request.headers.get("HX-Request") == "true":
        template = "message_part.html"
    values = _values(status, message) | {"reload": reload, "visit": request.get(_VISIT)}
    text = request.app[CONSOLE].renderer.render(template, request.path, values)
    return web.Response(text=text, status=status, content_type="text/html")


def _values(status: int, message: str) -> dict[str, Any]:
    """What the page of a message shows."""
    heading = _HEADINGS.get(status, "Not done")
    return {"title": heading, "message": message, "to_login": status == 401, "reload": None}  # noqa: PLR2004 - HTTP's
