"""The daemon from start to stop: HTTP first, then the database, then the work, and back."""

import asyncio
import os
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

import structlog
from aiohttp import web

from adapters.postgres.errors import Conflict, DatabaseUnavailable
from daemon.backoff import backoff
from daemon.broker import BrokerLink
from daemon.declared import apply_declared
from daemon.holdings import Holdings
from daemon.http_tls import http_tls
from daemon.metrics import Metrics
from daemon.readiness import Readiness
from daemon.reload import Reload
from daemon.settings import Settings
from daemon.supervisor import Work, supervise, wait_or_stop
from daemon.systemd import ServiceManager
from daemon.web import web_app
from daemon.wiring import Parts, daemon_tasks, database_url, open_database, open_parts

log = structlog.get_logger(__name__)

RELEASE_SECONDS = 1.0


async def run_daemon(settings: Settings, stop: asyncio.Event, reload: Reload | None = None) -> None:
    """Run until `stop`. Raises SchemaNewer, TaskEnded, SettingsError."""
    readiness = Readiness(settings, stop)
    metrics = Metrics()
    manager = ServiceManager.of(os.environ)
    async with AsyncExitStack() as stack:
        await _serve(stack, metrics, readiness, stop)
        await stack.enter_async_context(manager.watching(readiness, stop))
        dsn = await stack.enter_async_context(database_url(settings))
        database = await open_database(dsn, stop, readiness.waits)
        if database is None:
            return
        stack.push_async_callback(database.close)
        parts = await stack.enter_async_context(open_parts(settings, database, metrics))
        await _declare(parts, readiness, stop)
        readiness.parts = parts
        readiness.link = _link(settings)
        more = {"reload": reload.work(parts, manager)} if reload else {}
        await _work(readiness, parts, more, stop)


async def _declare(parts: Parts, readiness: Readiness, stop: asyncio.Event) -> None:
    """Apply the declared connections; a database that is gone again is waited for."""
    failures = 0
    while not stop.is_set():
        try:
            await apply_declared(parts, parts.settings.connections, parts.clock())
        except (Conflict, DatabaseUnavailable) as error:
            readiness.waits(str(error))
            failures += 1
            delay = backoff(failures, first=0.5, cap=10).total_seconds()
            log.warning("connections not declared", error=str(error), seconds=round(delay, 1))
            await wait_or_stop(stop, delay)
        else:
            return


def _link(settings: Settings) -> BrokerLink | None:
    if settings.amqp_url is None:
        return None
    return BrokerLink(settings.amqp_url.get_secret_value())


async def _serve(
    stack: AsyncExitStack, metrics: Metrics, readiness: Readiness, stop: asyncio.Event
) -> None:
    """Health and metrics from the first moment on, also while the database is awaited."""
    runner = web.AppRunner(web_app(metrics, readiness), access_log=None, shutdown_timeout=2)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    settings = readiness.settings
    tls = http_tls(settings)
    context = tls.context if tls else None
    await web.TCPSite(runner, settings.http_host, settings.http_port, ssl_context=context).start()
    if tls is not None:
        renewing = asyncio.create_task(tls.run(stop), name="certificate")
        stack.callback(renewing.cancel)
    host, port = runner.addresses[0][:2]
    log.info("listening", url=f"{'https' if tls else 'http'}://{host}:{port}")


async def _work(
    readiness: Readiness, parts: Parts, more: Mapping[str, Work], stop: asyncio.Event
) -> None:
    """The tasks, with the holds kept alive until the last of them has ended."""
    link = readiness.link
    readiness.holdings = holdings = Holdings(parts.database, parts.metrics)
    keeping = asyncio.create_task(holdings.run(), name="holdings")
    try:
        tasks = {**daemon_tasks(parts, holdings, link), **more}
        tasks["holdings"] = holdings.watch(keeping)
        await supervise(tasks, stop)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await _within_limit(holdings.release())  # else the holds run out by themselves
        if link is not None:
            await _within_limit(link.close())  # else the broker notices by itself
        log.info("stopped")


async def _within_limit(leaving: Coroutine[Any, Any, None]) -> None:
    """Who does not answer must not keep the daemon from stopping."""
    with suppress(TimeoutError):
        async with asyncio.timeout(RELEASE_SECONDS):
            await leaving
