"""Logging in with the daemon's token, and out."""

from aiohttp import web

from adapters.postgres import console_sessions
from daemon.console import session as sessions
from daemon.console.session import Session
from daemon.console.visit import Pages, Visit
from daemon.token_guard import TOKEN_GUARD

PAGES = Pages()


@PAGES.get("/login", public=True)
async def show(visit: Visit) -> web.Response:
    """The form."""
    if visit.logged_in:
        return visit.go(own_path(visit.text("next")))
    return await _form(visit)


@PAGES.post("/login", public=True)
async def log_in(visit: Visit) -> web.Response:
    """Check the password; a wrong one costs time."""
    guard = visit.request.app[TOKEN_GUARD]
    if guard.token is None:
        return visit.go("/")
    if not guard.fits(visit.request, str(visit.form.get("password", "")), "console"):
        return await _refused(visit, guard.wait(visit.request))
    response = visit.go(own_path(visit.text("next")))
    sessions.give(visit.request, response, visit.parts.cipher, Session.begin(guard.token))
    return response


async def _refused(visit: Visit, wait: float) -> web.Response:
    if wait > 0:
        error = f"Too many wrong passwords: wait {wait:.0f} seconds, then try again."
        response = await _form(visit, error, status=429)
        response.headers["Retry-After"] = f"{wait:.0f}"
        return response
    error = "This is not the password: it is the daemon's SPARTOO_SYNC_HTTP_TOKEN."
    return await _form(visit, error, status=401)


@PAGES.post("/logout")
async def log_out(visit: Visit) -> web.Response:
    """End the session, here and for whoever may have copied its cookie."""
    async with visit.connection() as conn:
        over = sessions.until(visit.parts.clock())
        await console_sessions.end(conn, visit.session.id, over)
    response = visit.go("/login")
    sessions.take(visit.request, response)
    return response


def own_path(target: str) -> str:
    """The path to go on to, on this site only; "/" for anything else."""
    own = target.startswith("/") and not target.startswith(("//", "/\\"))
    plain = target.isprintable() and "\\" not in target
    return target if own and plain else "/"


async def _form(visit: Visit, error: str = "", *, status: int = 200) -> web.Response:
    target = own_path(visit.text("next"))
    return await visit.page("login.html", title="Log in", status=status, error=error, next=target)
