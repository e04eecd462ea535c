"""The one place that knows everything: settings → parts → named tasks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import aiohttp
import structlog
from cryptography.fernet import MultiFernet

from adapters.postgres import migrate
from adapters.postgres.database import Database
from adapters.postgres.embedded import EmbeddedPostgres
from daemon import dispatcher, poller
from daemon.accounts import Accounts
from daemon.broker import BrokerLink
from daemon.clock import Clock
from daemon.command_reader import CommandReader
from daemon.commands import CommandDesk
from daemon.dispatcher import Dispatcher
from daemon.gauges import Gauges
from daemon.holdings import HOLD, Holdings
from daemon.metrics import Metrics
from daemon.poller import Poller
from daemon.relay import LogOnly, Relay
from daemon.retention import Retention
from daemon.reviewer import Reviewer
from daemon.settings import Settings, ensure_secret_key
from daemon.stock_pusher import StockPusher
from daemon.supervisor import Work, cancel
from daemon.transactions import once_available

log = structlog.get_logger(__name__)

# Hanging polls take their share of the pollers' places, and none that an action needs.
_SOCKETS = poller.AT_ONCE + dispatcher.AT_ONCE
POOL_SIZE = 16


@dataclass(frozen=True, slots=True)
class Parts:
    """What the daemon and the command line are put together from."""

    settings: Settings
    database: Database
    clock: Clock
    cipher: MultiFernet
    metrics: Metrics
    accounts: Accounts
    desk: CommandDesk


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The URL that is set, or that of the embedded server, started and left again."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with embedded_postgres(Path(settings.state_dir) / "postgres") as dsn:
        yield dsn


@asynccontextmanager
async def embedded_postgres(directory: Path) -> AsyncIterator[str]:
    """The DSN of a server of our own, started or joined, kept up, and left again."""
    embedded = EmbeddedPostgres(directory)
    starting = asyncio.create_task(embedded.start())
    try:
        dsn = await asyncio.shield(starting)
        keeping = asyncio.create_task(embedded.keep_up(), name="embedded postgres")
        try:
            yield dsn
        finally:
            await cancel([keeping])
    finally:
        await asyncio.wait({starting})  # a thread starts it: it cannot be stopped before
        await embedded.stop()


async def open_database(dsn: str, on_wait: Callable[[str], None] = lambda _: None) -> Database:
    """Wait for the database, bring its schema up to date, open it.

    A role that may not change the schema waits for its owner to do so; `on_wait` is told why.
    Raises SchemaNewer: this program is older than the schema and must not touch it.
    """

    async def opened() -> Database:
        revision = await migrate.upgrade(dsn)
        database = await Database.open(dsn, max_size=POOL_SIZE)
        log.info("database open", schema=revision)
        return database

    return await once_available(opened, on_wait)


@asynccontextmanager
async def open_parts(
    settings: Settings, database: Database, metrics: Metrics
) -> AsyncIterator[Parts]:
    """Everything that is not a running task; closed in reverse order. Raises PostgresError."""
    async with AsyncExitStack() as stack:
        cipher = ensure_secret_key(settings)
        clock = await Clock.of(database)
        connector = aiohttp.TCPConnector(limit=_SOCKETS, limit_per_host=128)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),  # one merchant's must not go to another
                headers={"User-Agent": f"spartoo-sync/{version('spartoo-order-sync')}"},
            )
        )
        yield Parts(
            settings=settings,
            database=database,
            clock=clock,
            cipher=cipher,
            metrics=metrics,
            accounts=Accounts(database, session, cipher, metrics, clock),
            desk=CommandDesk(database, settings.plan, metrics, clock),
        )


def daemon_tasks(parts: Parts, holdings: Holdings, link: BrokerLink | None) -> dict[str, Work]:
    """The daemon's tasks by name."""
    database, metrics, clock = parts.database, parts.metrics, parts.clock
    common = (database, parts.accounts, holdings, metrics, clock)
    tasks: dict[str, Work] = {
        "poller": Poller(*common).run,
        "dispatcher": Dispatcher(*common).run,
        "relay": Relay(database, link or LogOnly(), holdings, metrics, clock).run,
        "reviewer": Reviewer(database, metrics, clock).run,
        "stock pusher": StockPusher(*common).run,
        "retention": Retention(database, parts.settings.retention, clock).run,
        "clock": partial(clock.run, hold=HOLD),
        "keys": parts.accounts.watch_keys,
        "gauges": Gauges(database, metrics, clock).run,
    }
    if link is not None:
        tasks["broker"] = link.run
        tasks["commands"] = CommandReader(link, parts.desk, holdings, metrics).run
    return tasks
