"""The daemon's one HTTP application, put together."""

from aiohttp import web

from daemon.api import api_app, unknown_path
from daemon.console import register_console
from daemon.health import health_app
from daemon.metrics import Metrics
from daemon.readiness import READINESS, Readiness
from daemon.token_guard import TOKEN_GUARD, TokenGuard


def web_app(metrics: Metrics, readiness: Readiness) -> web.Application:
    """Health and metrics, which answer from the first moment on, the API and the console."""
    app = health_app(metrics, readiness.missing, readiness.turning)
    app[READINESS] = readiness
    settings = readiness.settings
    app[TOKEN_GUARD] = TokenGuard(settings.http_token, settings.http_trusted_proxies, metrics)
    app.add_subapp("/api/v1", api_app(readiness))
    app.router.add_route("*", "/api/{rest:.*}", unknown_path)
    register_console(app)
    return app
