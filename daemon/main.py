"""The daemon from start to stop: HTTP first, then the database, then the work, and back."""

import asyncio
import os
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from adapters.postgres.database import Database
from daemon.broker import BrokerLink
from daemon.console.catalogue_import import IMPORTS
from daemon.declared import declare
from daemon.holdings import Holdings
from daemon.http_tls import HttpTls, http_tls
from daemon.metrics import Metrics
from daemon.readiness import Readiness
from daemon.reload import Reload
from daemon.settings import Settings
from daemon.supervisor import Work, cancel, supervise, unless_stopped
from daemon.systemd import ServiceManager
from daemon.transactions import once_available
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
        tls = http_tls(settings)
        app = await _serve(stack, metrics, readiness, tls)
        beside = _beside(tls, manager, readiness, stop)
        stack.push_async_callback(cancel, beside)
        dsn = await stack.enter_async_context(database_url(settings))
        database = await unless_stopped(open_database(dsn, readiness.waits), stop, beside)
        if database is None:
            return
        stack.push_async_callback(database.close)
        opened = partial(_parts, stack, settings, database, metrics)
        parts = await unless_stopped(once_available(opened, readiness.waits), stop, beside)
        if parts is None:
            return
        if await unless_stopped(declare(parts, readiness.waits), stop, beside) is None:
            return
        readiness.parts = parts
        readiness.link = _link(settings)
        more: dict[str, Work] = {"imports": app[IMPORTS].run}
        if reload:
            more["reload"] = reload.work(parts, manager)
        await _work(readiness, parts, more, beside, stop)


async def _parts(
    stack: AsyncExitStack, settings: Settings, database: Database, metrics: Metrics
) -> Parts:
    return await stack.enter_async_context(open_parts(settings, database, metrics))


def _beside(
    tls: HttpTls | None, manager: ServiceManager, readiness: Readiness, stop: asyncio.Event
) -> list[asyncio.Task[None]]:
    """What runs from the first moment on, also while the database is awaited."""
    beside = {}
    if tls is not None:
        beside["certificate"] = tls.run(stop)
    if manager.there:
        beside["service manager"] = manager.inform(readiness, stop)
    return [asyncio.create_task(work, name=name) for name, work in beside.items()]


def _link(settings: Settings) -> BrokerLink | None:
    if settings.amqp_url is None:
        return None
    return BrokerLink(settings.amqp_url.get_secret_value())


async def _serve(
    stack: AsyncExitStack, metrics: Metrics, readiness: Readiness, tls: HttpTls | None
) -> web.Application:
    """Health and metrics from the first moment on, also while the database is awaited."""
    runner = web.AppRunner(web_app(metrics, readiness), access_log=None, shutdown_timeout=2)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    settings = readiness.settings
    context = tls.context if tls else None
    await web.TCPSite(runner, settings.http_host, settings.http_port, ssl_context=context).start()
    host, port = runner.addresses[0][:2]
    log.info("listening", url=f"{'https' if tls else 'http'}://{host}:{port}")
    return runner.app


async def _work(
    readiness: Readiness,
    parts: Parts,
    more: Mapping[str, Work],
    beside: Iterable[asyncio.Task[None]],
    stop: asyncio.Event,
) -> None:
    """The tasks, with the holds kept alive until the last of them has ended."""
    link = readiness.link
    readiness.holdings = holdings = Holdings(parts.database, parts.metrics)
    keeping = asyncio.create_task(holdings.run(), name="holdings")
    try:
        tasks = {**daemon_tasks(parts, holdings, link), **more}
        await supervise(tasks, stop, [keeping, *beside])
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
