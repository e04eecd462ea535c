"""The daemon's one HTTP application, put together."""

from aiohttp import web

from daemon.health import health_app
from daemon.metrics import Metrics
from daemon.readiness import READINESS, Readiness


def web_app(metrics: Metrics, readiness: Readiness) -> web.Application:
    """Health and metrics, which answer from the first moment on."""
    app = health_app(metrics, readiness.missing, readiness.turning)
    app[READINESS] = readiness
    return app
