"""What stands in the database, shown as gauges; read every few seconds, not at every scrape."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from time import monotonic
from typing import Any

import structlog
from prometheus_client import Gauge

from adapters.postgres import (
    actions,
    budget,
    catalog,
    connections,
    counts,
    events,
    looks,
    orders,
    quarantine,
    returns,
    stock_pushes,
)
from adapters.postgres.database import Conn, Database
from adapters.postgres.errors import PostgresError
from daemon.metrics import Metrics
from daemon.supervisor import wait_or_stop

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
SHARE = 0.05  # of the time, at most, that one reading takes

Read = Callable[[Conn], Coroutine[Any, Any, None]]


class Gauges:
    """Keeps the gauges that no event of this process alone can know."""

    def __init__(self, database: Database, metrics: Metrics, clock: Callable[[], datetime]):
        self._database = database
        self._metrics = metrics
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`; what cannot be read stands as it was."""
        async with asyncio.TaskGroup() as readings:
            for read in (self._queues, self._connections, self._stored):
                readings.create_task(self._keep_reading(read, stop))

    async def _keep_reading(self, read: Read, stop: asyncio.Event) -> None:
        """Each by itself: what takes long holds up none of the others, and is read less often."""
        while not stop.is_set():
            started = monotonic()
            try:
                async with self._database.connection() as conn:
                    await read(conn)
            except PostgresError as error:
                log.warning("gauges not read", gauges=read.__name__.strip("_"), error=str(error))
            except Exception:  # what nobody foresaw: only these figures stand still
                log.exception("gauges failed", gauges=read.__name__.strip("_"))
            pause = max(EVERY_SECONDS, (monotonic() - started) / SHARE)
            await wait_or_stop(stop, pause)

    def _age(self, moment: datetime | None) -> float:
        return max((self._clock() - moment).total_seconds(), 0.0) if moment else 0.0

    async def _stored(self, conn: Conn) -> None:
        metrics = self._metrics
        await counts.fold(conn)
        _fill(metrics.orders, await orders.counts(conn))
        _fill(metrics.returns, await returns.counts(conn))
        pending = await orders.oldest_pending(conn)
        ages = {(connection,): self._age(moment) for connection, moment in pending.items()}
        _fill(metrics.pending_manual_oldest, ages)
        held = await quarantine.counts(conn)
        _fill(metrics.quarantined_orders, {(connection,): n for connection, n in held.items()})
        moments = (await catalog.age(conn)).values()
        metrics.catalog_age.set(max(map(self._age, moments), default=0.0))

    async def _queues(self, conn: Conn) -> None:
        metrics = self._metrics
        waiting = await actions.pending(conn)
        per_kind: dict[tuple[str, str], int] = {(w.connection, w.kind): w.count for w in waiting}
        for connection, products in (await stock_pushes.pending(conn)).items():
            per_kind[connection, "push_stock"] = products
        _fill(metrics.actions_pending, per_kind)
        metrics.actions_oldest.set(max((self._age(w.oldest) for w in waiting), default=0.0))
        pending, oldest = await events.backlog(conn)
        metrics.outbox_pending.set(pending)
        metrics.outbox_oldest.set(self._age(oldest))

    async def _connections(self, conn: Conn) -> None:
        remaining = await budget.remaining(conn)
        _fill(self._metrics.spartoo_call_budget_remaining, remaining)
        polled = await looks.last_successes(conn)
        moments = {(c,): at.timestamp() if at else 0.0 for c, at in polled.items()}
        _fill(self._metrics.last_successful_poll, moments)
        for connection in await connections.list_all(conn):
            suspended = connection.suspended_reason not in {None, "by_command"}
            gauge = self._metrics.connection_suspended.labels(connection.settings.id)
            gauge.set(suspended)


def _fill(gauge: Gauge, values: Mapping[Any, float]) -> None:
    """Replace all of a gauge's series; the keys are the labels."""
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
