"""The console: what people see and touch, served by the daemon itself.

Server-rendered pages with htmx where a whole page would be too much; nothing is fetched from
elsewhere. Every route passes through `guard`: host, session, CSRF, errors, headers.

A part of the console is a module with `PAGES` (visit.Pages), named in GROUPS below in the order of
the navigation. A handler takes a Visit and answers with `visit.page(template, title=…, …)`, after
a POST with `visit.go(path, message)`, or raises visit.Complaint. Templates extend layout.html and
are made of macros.html; every form that posts starts with `ui.csrf()` or `ui.once()`. Styles and
scripts are files in static/, linked by `static(name)`: the policy allows none inside pages.
"""

from aiohttp import web

from daemon.console import (
    catalogue,
    catalogue_import,
    connection_add,
    connection_settings,
    connections,
    events,
    login,
    order_acts,
    order_bulk,
    order_page,
    orders,
    quarantine,
    returns,
    static_files,
    stream,
    what_if,
)
from daemon.console.catalogue_import import register_imports
from daemon.console.guard import CONSOLE, Console, guarded
from daemon.console.rendering import Renderer
from daemon.console.visit import Complaint, Pages, Route, Visit
from daemon.console.what_if import register_what_if

_OTHERS = Pages()


@_OTHERS.rest("/{path:.*}")
async def missing(visit: Visit) -> web.Response:
    """Whatever is no page, or not asked for so. Raises Complaint, HTTPMethodNotAllowed."""
    method, allowed = visit.request.method, await _allowed(visit.request)
    if method != "GET" and allowed:
        said = f"This address takes {' and '.join(allowed)}, not {method}. Nothing was changed."
        raise web.HTTPMethodNotAllowed(method, allowed, text=said)
    raise Complaint(404, "There is no such page.")


async def _allowed(request: web.Request) -> list[str]:
    """The methods this address does take."""
    found: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        found |= methods - {"*"}
    return sorted(found)


GROUPS = (
    login.PAGES,
    stream.PAGES,
    orders.PAGES,
    order_bulk.PAGES,
    order_page.PAGES,
    order_acts.PAGES,
    returns.PAGES,
    connection_add.PAGES,
    connections.PAGES,
    connection_settings.PAGES,
    catalogue.PAGES,
    catalogue_import.PAGES,
    what_if.PAGES,
    quarantine.PAGES,
    events.PAGES,
    _OTHERS,  # last: it takes what the others leave
)


def register_console(app: web.Application) -> None:
    """Add every page, and the files they load, to the daemon's application."""
    files = static_files.load()
    app[CONSOLE] = Console(Renderer(files, [group.entry for group in GROUPS if group.entry]))
    no_such_file = guarded(Route("GET", "/static/{name}", missing, public=True))
    app.router.add_get("/static/{name}", static_files.serving(files, no_such_file))
    register_imports(app)
    register_what_if(app)
    for group in GROUPS:
        for route in group.routes:
            resource = app.router.add_resource(route.path)
            for method in (route.method, *(("HEAD",) if route.head else ())):
                resource.add_route(method, guarded(route))
