"""Every check, side by side, each within its limit."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from functools import partial

import aiohttp

from adapters.postgres import connections, migrate
from adapters.postgres.connections import Connection
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError
from daemon.accounts import Accounts
from daemon.clock import utc_now
from daemon.doctor import broker, clock, database, http, spartoo, state
from daemon.doctor.finding import Check, Finding, failed, findings, warning
from daemon.metrics import Metrics
from daemon.settings import Settings
from daemon.wiring import database_url

_LOCAL, _REMOTE, _CALLS = 5.0, 15.0, 60.0  # seconds
_OPENING = 60.0  # an embedded server may have to recover first


async def examine(settings: Settings) -> list[Finding]:
    """What is wrong, and what is not; changes nothing but the count of the calls it makes."""
    return await _together(
        [
            ("state directory", partial(state.check_state, settings), _LOCAL),
            ("secret key", partial(state.check_key_file, settings), _LOCAL),
            ("http port", partial(http.check_http, settings), _LOCAL),
            ("broker", partial(broker.check_broker, settings), _REMOTE),
            ("database", partial(_behind_database, settings), _OPENING + _CALLS),
        ]
    )


async def _together(checks: Iterable[tuple[str, Check, float]]) -> list[Finding]:
    """All at once; the findings in the order of the checks."""
    results = await asyncio.gather(*(findings(*check) for check in checks))
    return [finding for result in results for finding in result]


async def _behind_database(settings: Settings) -> AsyncIterator[Finding]:
    """What can be looked at only where the database is reached. Raises PostgresError."""
    directory = settings.state_dir / "postgres" / "data"
    if settings.database_url is None and not directory.exists():
        message = f"embedded, not there yet: {directory} is made at the first start"
        yield warning(database.DATABASE, message, "start the daemon: spartoo-sync run")
        return
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(_OPENING):
                opened = await _opened(stack, settings)
        except PostgresError as error:
            remedy = "start it, and see to SPARTOO_SYNC_DATABASE_URL: host, user, password, name"
            yield failed(database.DATABASE, str(error), remedy)
            return
        for finding in await _of_server(settings, opened):
            yield finding


async def _opened(stack: AsyncExitStack, settings: Settings) -> Database:
    dsn = await stack.enter_async_context(database_url(settings))
    opened = await Database.open(dsn, max_size=8)
    stack.push_async_callback(opened.close)
    return opened


async def _of_server(settings: Settings, opened: Database) -> list[Finding]:
    first = await _together(
        [
            (database.DATABASE, partial(database.check_server, opened), _REMOTE),
            (database.SCHEMA, partial(database.check_schema, opened), _REMOTE),
        ]
    )
    try:
        async with opened.connection() as conn:
            await migrate.check(conn)
            known = await connections.list_all(conn)
    except PostgresError:
        return first  # of another schema nothing more can be said
    return first + await _of_contents(settings, opened, known)


async def _of_contents(
    settings: Settings, opened: Database, known: list[Connection]
) -> list[Finding]:
    checks: list[tuple[str, Check, float]] = [
        (database.RIGHTS, partial(database.check_rights, opened), _REMOTE),
        (state.KEY, partial(database.check_keys, settings, opened), _REMOTE),
        (database.DAEMON, partial(database.check_daemon, opened), _REMOTE),
    ]
    cipher = state.known_cipher(settings)
    active = [connection.settings for connection in known if connection.settings.active]
    async with aiohttp.ClientSession() as session:
        if cipher is not None:
            accounts = Accounts(opened, session, cipher, Metrics(), utc_now)
            asked = partial(spartoo.check_connections, accounts, known)
            checks.append((spartoo.SPARTOO, asked, _CALLS))
        if active:
            dated = partial(clock.check_marketplace_clock, session, active)
            checks.append((clock.CLOCK, dated, _REMOTE))
        return await _together(checks)
