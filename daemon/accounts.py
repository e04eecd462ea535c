"""The marketplace accounts behind connections: opened once a version, every call within budget."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import aiohttp
import structlog
from cryptography.fernet import MultiFernet

from adapters.ports import AccountRejected, Marketplace
from adapters.postgres import budget, connections
from adapters.postgres.connections import Connection
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError
from adapters.registry import open_marketplace
from adapters.spartoo import CallReport
from daemon.call_log import CallLog, LoggedMarketplace, note_call
from daemon.holdings import check_hold
from daemon.metrics import Metrics
from daemon.tracing import note_span
from statemachine.connection import ConnectionSettings
from statemachine.model import ConnectionId

log = structlog.get_logger(__name__)

# Looks leave this share of a service's hourly calls to actions, and to reads actions depend on.
ACTION_SHARE = 0.1


class BudgetSpent(Exception):
    """No call may be made to this service before `until`."""

    def __init__(self, service: str, until: datetime):
        super().__init__(f"no calls left for {service} until {until.isoformat()}")
        self.service = service
        self.until = until


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

    async def get(self, connection_id: ConnectionId) -> Account:
        """The account as it is now. Raises UnknownConnection, AccountRejected without a key."""
        async with self._database.connection() as conn:
            connection = await connections.get(conn, connection_id)
            known = self._open.get(connection_id)
            if known is not None and known.connection.version == connection.version:
                return replace(known, connection=connection)
            key = await connections.api_key(conn, self._cipher, connection_id)
        if not key:
            raise AccountRejected(
                f"connection {connection_id} has no API key; set one with `connections set`",
                code=-1,
                reason="bad_key",
            )
        account = self._account(connection, key)
        self._open[connection_id] = account
        return account

    def _account(self, connection: Connection, key: str) -> Account:
        settings = connection.settings
        reserve = max(1, int(settings.max_calls_per_hour * ACTION_SHARE))
        for_actions = self._marketplace(settings, key, keep_free=0)
        return Account(
            connection,
            for_looks=self._marketplace(settings, key, keep_free=reserve),
            for_actions=LoggedMarketplace(for_actions, connection.id, self._calls, self._clock),
        )

    def _marketplace(self, settings: ConnectionSettings, key: str, keep_free: int) -> Marketplace:
        return open_marketplace(
            self._session,
            settings,
            key,
            before_call=self._spend(settings, keep_free),
            on_call=self._report(settings),
        )

    def _spend(
        self, settings: ConnectionSettings, keep_free: int
    ) -> Callable[[str], Awaitable[None]]:
        connection_id = ConnectionId(settings.id)

        async def spend(service: str) -> None:
            async with self._database.connection() as conn:
                until = await budget.take(
                    conn, connection_id, service, settings.max_calls_per_hour, keep_free
                )
            if until is not None:
                raise BudgetSpent(service, until)
            check_hold()  # the last thing before the call: counting it may have taken long

        return spend

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

    async def suspend(
        self, connection_id: ConnectionId, error: AccountRejected, now: datetime
    ) -> None:
        """-2 or -428: no more calls until a person acts; told by event, metric and log.

        With the database away the next call finds out again.
        """
        try:
            async with self._database.transaction() as tx:
                told = await connections.suspend(
                    tx, connection_id, error.reason, error.message, now
                )
        except PostgresError as failure:
            log.warning("connection not suspended", connection=connection_id, error=str(failure))
            return
        if told:
            log.warning("connection suspended", connection=connection_id, error=error.message)
