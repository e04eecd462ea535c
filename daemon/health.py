"""/healthz, /readyz and /metrics: does the process live, can it work, what has it done."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from daemon.metrics import Metrics

# What is missing for the daemon to do its work, one phrase each; empty when ready.
Missing = Callable[[], Awaitable[list[str]]]
# False when the process must be restarted.
Turning = Callable[[], bool]


def health_app(metrics: Metrics, missing: Missing, turning: Turning) -> web.Application:
    """The HTTP application without API and console."""

    async def healthz(_: web.Request) -> web.Response:
        if not turning():
            return web.json_response({"status": "standing still"}, status=503)
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        lacking = await missing()
        if lacking:
            return web.json_response({"status": "not ready", "missing": lacking}, status=503)
        return web.json_response({"status": "ready"})

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.render(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    return app
