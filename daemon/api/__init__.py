"""The HTTP API under /api/v1: the one application, made of the table of routes."""

from aiohttp import web

from daemon.api import connections, document, events, orders, products, quarantine, returns
from daemon.api.access import access
from daemon.api.problems import problems, unknown_path
from daemon.readiness import READINESS, Readiness

__all__ = ["ROUTES", "api_app", "unknown_path"]

_MODULES = (connections, orders, returns, products, events, quarantine, document)
ROUTES = tuple(route for module in _MODULES for route in module.routes.all)


def api_app(readiness: Readiness) -> web.Application:
    """The application to be mounted at /api/v1."""
    app = web.Application(middlewares=[problems, access])
    app[READINESS] = readiness
    app[events.STREAMS] = events.Streams()
    app.on_response_prepare.append(_keep_private)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.serve)
    return app


async def _keep_private(_: web.Request, response: web.StreamResponse) -> None:
    """Customers' data is stored nowhere on its way, nor read as anything else."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
