"""The marketplace accounts behind connections: opened once a version, every call within budget."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import aiohttp
import structlog
from cryptography.fernet import MultiFernet

from adapters.ports import AccountRejected, Marketplace
from adapters.postgres import budget, connections
from adapters.postgres.connections import Connection
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError
from adapters.registry import Permit, open_marketplace
from adapters.spartoo import CallReport
from daemon.call_log import CallLog, LoggedMarketplace, note_call
from daemon.holdings import check_hold
from daemon.metrics import Metrics
from daemon.supervisor import wait_or_stop
from daemon.together import Together
from daemon.tracing import note_span
from statemachine.connection import ConnectionSettings
from statemachine.facts import Refused
from statemachine.model import ConnectionId

log = structlog.get_logger(__name__)

# Looks leave this share of a service's hourly calls to actions, and to reads actions depend on.
ACTION_SHARE = 0.1
_KEYS_SECONDS = 30.0
CALLS_AT_ONCE = 8  # of actions, to one account


class BudgetSpent(Exception):
    """No call may be made to this service before `until`, which is so far from `now`."""

    def __init__(self, service: str, until: datetime, now: datetime):
        super().__init__(f"no calls left for {service} until {until.isoformat()}")
        self.service = service
        self.until = until
        self.wait = until - now


class Purse(NamedTuple):
    """What calls are counted against."""

    connection: ConnectionId
    service: str
    limit_per_hour: int
    keep_free: int


class Halted(Refused):
    """The connection is disabled or suspended: nothing is sent until somebody activates it."""


@dataclass(frozen=True, slots=True)
class Account:
    """A connection, and its marketplace as looks and as actions may call it."""

    connection: Connection
    for_looks: Marketplace
    for_actions: Marketplace

    @property
    def settings(self) -> ConnectionSettings:
        return self.connection.settings


class Accounts:
    """Opens accounts and opens them again when their settings or key changed."""

    def __init__(
        self,
        database: Database,
        session: aiohttp.ClientSession,
        cipher: MultiFernet,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ):
        self._database = database
        self._session = session
        self._cipher = cipher
        self._metrics = metrics
        self._clock = clock
        self._calls = CallLog(database)
        self._open: dict[ConnectionId, Account] = {}
        self.unreadable: set[ConnectionId] = set()  # keys sealed with another SECRET_KEY
        self._reading = Together(self._read)
        self._spending = Together(self._spend)

    async def watch_keys(self, stop: asyncio.Event) -> None:
        """Know which API keys cannot be opened here: their connections' work is left to others."""
        while not stop.is_set():
            try:
                async with self._database.connection() as conn:
                    found = await connections.unreadable(conn, self._cipher)
            except PostgresError as error:
                log.warning("API keys not checked", error=str(error))
            else:
                if found - self.unreadable:
                    log.error(
                        "API keys cannot be opened: they were sealed with another SECRET_KEY;"
                        " nothing is done for these connections here",
                        connections=sorted(found),
                    )
                self.unreadable = found
            await wait_or_stop(stop, _KEYS_SECONDS)

    async def get(self, connection_id: ConnectionId) -> Account:
        """The account as it is now. Raises UnknownConnection, AccountRejected without a key."""
        return await self._opened(await self._reading.do(connection_id, None))

    @asynccontextmanager
    async def using(self, connection_id: ConnectionId) -> AsyncIterator[Account]:
        """As `get`; AccountRejected, from there or from a call inside, suspends the connection.

        Unless it was changed since: what the marketplace said of the old key is not true of a new
        one. Raises Halted where nothing may be sent, also to work that was begun before.
        """
        connection = await self._reading.do(connection_id, None)
        _check_halted(connection)
        try:
            yield await self._opened(connection)
        except AccountRejected as error:
            await self._suspend(connection, error)
            raise

    async def _read(self, connection_id: ConnectionId, askers: Sequence[None]) -> list[Connection]:
        async with self._database.connection() as conn:
            return [await connections.get(conn, connection_id)] * len(askers)

    async def _opened(self, connection: Connection) -> Account:
        known = self._known(connection)
        if known is not None:
            return known
        async with self._database.connection() as conn:
            key = await connections.api_key(conn, self._cipher, connection.id)
        if not key:
            raise AccountRejected(
                f"connection {connection.id} has no API key; set one with `connections set`",
                code=-1,
                reason="bad_key",
            )
        known = self._known(connection)  # opened meanwhile: all take turns at the same account
        if known is None:
            known = self._open[connection.id] = self._account(connection, key)
        return known

    def _known(self, connection: Connection) -> Account | None:
        """The account as it was opened, unless its settings or key changed since."""
        known = self._open.get(connection.id)
        if known is None or known.connection.version != connection.version:
            return None
        return replace(known, connection=connection)

    def trial(self, settings: ConnectionSettings, key: str) -> Marketplace:
        """An account that is stored nowhere yet, opened to try its key; its calls count."""
        return self._marketplace(settings, key, keep_free=0)

    def _account(self, connection: Connection, key: str) -> Account:
        settings = connection.settings
        reserve = max(1, int(settings.max_calls_per_hour * ACTION_SHARE))
        turns = asyncio.Semaphore(CALLS_AT_ONCE)
        for_actions = self._marketplace(settings, key, keep_free=0, turns=turns)
        return Account(
            connection,
            for_looks=self._marketplace(settings, key, keep_free=reserve),
            for_actions=LoggedMarketplace(for_actions, connection.id, self._calls, self._clock),
        )

    def _marketplace(
        self,
        settings: ConnectionSettings,
        key: str,
        keep_free: int,
        turns: asyncio.Semaphore | None = None,
    ) -> Marketplace:
        return open_marketplace(
            self._session,
            settings,
            key,
            permit=self._permit(settings, keep_free, turns),
            on_call=self._report(settings),
        )

    def _permit(
        self, settings: ConnectionSettings, keep_free: int, turns: asyncio.Semaphore | None
    ) -> Permit:
        """Calls within the budget, and by turns; a turn is for the call alone."""
        connection_id, limit = ConnectionId(settings.id), settings.max_calls_per_hour

        @asynccontextmanager
        async def permitted(service: str) -> AsyncIterator[None]:
            purse = Purse(connection_id, service, limit, keep_free)
            until = await self._spending.do(purse, None)
            if until is not None:
                raise BudgetSpent(service, until, self._clock())
            async with turns or nullcontext():
                await check_hold()  # the last thing before the call: all before may have taken long
                yield

        return permitted

    async def _spend(self, purse: Purse, callers: Sequence[None]) -> list[datetime | None]:
        """Per caller None when its call is counted, else when one may be made again."""
        async with self._database.connection() as conn:
            granted, again = await budget.take(conn, *purse, wanted=len(callers))
        return [None] * granted + [again] * (len(callers) - granted)

    def _report(self, settings: ConnectionSettings) -> Callable[[CallReport], None]:
        def report(call: CallReport) -> None:
            self._metrics.spartoo_calls.labels(settings.id, call.service, call.code).inc()
            self._metrics.spartoo_call_duration.labels(call.service).observe(call.seconds)
            note_call(call)
            note_span(call.service, call.seconds, connection=settings.id, code=str(call.code))

        return report

    async def rest(self, settings: ConnectionSettings, service: str) -> datetime:
        """-429: the service rests for `throttle_backoff`, doubling up to an hour."""
        first: timedelta = settings.throttle_backoff
        async with self._database.connection() as conn:
            return await budget.rest(conn, ConnectionId(settings.id), service, first)

    async def _suspend(self, connection: Connection, error: AccountRejected) -> None:
        """-2 or -428: no more calls until a person acts; told by event, metric and log.

        With the database away the next call finds out again.
        """
        why = (error.reason, error.message, self._clock())
        try:
            async with self._database.transaction() as tx:
                told = await connections.suspend(tx, connection.id, *why, connection.version)
        except PostgresError as failure:
            log.warning("connection not suspended", connection=connection.id, error=str(failure))
            return
        if told:
            log.warning("connection suspended", connection=connection.id, error=error.message)


def _check_halted(connection: Connection) -> None:
    if not connection.settings.active:
        message = f"connection {connection.id} is disabled; activate it first"
        raise Halted("connection_disabled", message)
    if connection.suspended_at is not None:
        raise Halted(
            "connection_suspended",
            f"connection {connection.id} is suspended ({connection.suspended_message});"
            " nothing was sent: set a new API key or activate it again",
        )
