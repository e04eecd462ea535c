"""Looks at the marketplace: fresh, open, deep, and backfills a person asked for.

A look is a row held for seconds at a time; its cursor moves only after its orders are stored, so
a look that is cut off anywhere is simply done again.
"""

import asyncio
import time
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from datetime import time as time_of_day
from typing import assert_never
from zoneinfo import ZoneInfo

import structlog

from adapters.ports import AccountRejected, MarketplaceError, NotFound, Throttled
from adapters.postgres import looks
from adapters.postgres import orders as order_store
from adapters.postgres.connections import UnreadableKey
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError, UnknownConnection
from adapters.postgres.looks import ClaimedLook, Look
from daemon.accounts import ACTION_SHARE, Account, Accounts, BudgetSpent, Halted
from daemon.backoff import backoff
from daemon.holdings import HOLD, Holdings
from daemon.ingest import OrderIntake
from daemon.intake import Reading, Tally
from daemon.metrics import Metrics
from daemon.return_ingest import ReturnIntake
from daemon.supervisor import cancel
from daemon.tracing import span
from statemachine.connection import ConnectionSettings, SyncLevel
from statemachine.model import OrderId

log = structlog.get_logger(__name__)

OVERLAP = timedelta(hours=2)  # clocks, zones, late payments
DEEPEST = timedelta(days=90)
AT_ONCE = 512  # most of them wait for their sites
_SHARE = 8
_FAILING = AT_ONCE // 2  # of those whose last poll failed: the others always find a place
MOST_BY_ID = 10  # orders much older than the rest that an open look reads one by one
_SHORTEST_PAUSE = 0.05  # seconds; what is due may have to wait for a place
_OLD = timedelta(days=7)
STORING = 8
_NIGHT = time_of_day(2)
_NIGHT_LASTS = timedelta(hours=3)


class Poller:
    """Claims due looks, AT_ONCE of them at a time, and carries them out.

    However many sites do not answer, their looks take no place that storing needs, and leave places
    to those that answer: a site has a share, and so have all connections that failed.
    """

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        holdings: Holdings,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ):
        self._database = database
        self._accounts = accounts
        self._holdings = holdings
        self._metrics = metrics
        self._clock = clock
        self._running: dict[asyncio.Task[None], ClaimedLook] = {}
        self._storing = asyncio.Semaphore(STORING)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`; looks in hand are then given back where they stand."""
        try:
            while not stop.is_set():
                await self._claim()
                await self._database.wakeups.wait("looks", await self._idle_seconds())
        finally:
            await cancel(self._running)

    async def _idle_seconds(self) -> float:
        """Until the next look is due; a second at most, for a lost wake-up costs no more."""
        try:
            async with self._database.connection() as conn:
                due_at = await looks.next_due(conn)
        except Exception:  # noqa: BLE001 - claiming meets the same, and tells
            due_at = None
        if due_at is None or len(self._running) >= AT_ONCE or not self._holdings.fresh:
            return 1.0
        return min(max((due_at - self._clock()).total_seconds(), _SHORTEST_PAUSE), 1.0)

    async def _claim(self) -> None:
        free = AT_ONCE - len(self._running)
        if free <= 0 or not self._holdings.fresh:
            return
        room = looks.Room(
            free,
            at_a_site=max(1, free // _SHARE),
            at_sites=Counter(look.site for look in self._running.values()),
            failing=max(0, _FAILING - sum(look.failures > 0 for look in self._running.values())),
        )
        try:
            async with self._database.transaction() as tx:
                claimed = await looks.claim_due(
                    tx, self._holdings.holder, HOLD, room, self._accounts.unreadable
                )
        except PostgresError as error:
            log.warning("looks not claimed", error=str(error))
            return
        except Exception:  # what nobody foresaw: the looks in hand go on
            log.exception("looks not claimed")
            return
        for look in claimed:
            task = asyncio.create_task(self._look(look), name=f"{look.look} {look.connection}")
            self._running[task] = look
            self._holdings.looks_in_hand.add((look.connection, look.look))
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        look = self._running.pop(task)
        self._holdings.looks_in_hand.discard((look.connection, look.look))
        self._database.wakeups.notify("looks")  # a place is free

    async def _look(self, look: ClaimedLook) -> None:
        with span("look", connection=look.connection, look=look.look):
            await self._look_through(look)

    async def _look_through(self, look: ClaimedLook) -> None:
        """One look from claim to finish; whatever happens, only this look is concerned."""
        started = time.monotonic()
        try:
            async with self._accounts.using(look.connection) as account:
                tally = await self._read(account, look)
                returns = await self._read_returns(account, look)
                await self._succeed(account.settings, look, tally, returns)
        except BudgetSpent as error:
            await self._fail(look, str(error), error.until)
        except Throttled as error:
            await self._throttled(look, error)
        except UnreadableKey as error:
            self._accounts.unreadable.add(look.connection)
            await self._fail(look, str(error), self._clock())
        except (MarketplaceError, PostgresError, Halted) as error:
            await self._fail(look, str(error), self._clock() + backoff(look.failures + 1))
        except Exception:
            log.exception("look failed", connection=look.connection, look=look.look)
            await self._fail(look, "internal error, see the log", self._clock() + backoff(6))
        else:
            seconds = time.monotonic() - started
            self._metrics.poll_duration.labels(look.connection, look.look).observe(seconds)

    async def _read(self, account: Account, look: ClaimedLook) -> Tally:
        """Stream the export into the store, a batch a transaction."""
        now = self._clock()
        since, by_id = await self._scope(account, look, now)
        if since is None:
            return Tally()
        start = None if look.look is Look.BACKFILL else _start(account)
        service = account.for_looks.order_service
        reading = Reading(account.settings, now, since, start, service=service)
        orders = OrderIntake(self._database, reading, self._metrics, self._clock)
        await orders.stream(account.for_looks.export_orders(since), self._storing)
        for order_id in by_id:
            await self._read_one(account, order_id, orders)
        return orders.tally

    async def _read_one(self, account: Account, order_id: OrderId, orders: OrderIntake) -> None:
        """An old order by its id; one that Spartoo does not know any more is left as it is."""
        try:
            exported = await account.for_looks.fetch_order(order_id)
        except NotFound as error:
            about = {"connection": account.settings.id, "order_id": order_id}
            log.warning("open order not found", **about, error=str(error))
        else:
            await orders.take([exported])

    async def _read_returns(self, account: Account, look: ClaimedLook) -> Tally:
        """What all looks but the fresh one read besides; the orders are stored by then.

        Returns hold no orders up: what goes wrong here, the next look makes good.
        """
        settings, now = account.settings, self._clock()
        if look.look is Look.FRESH or settings.sync_level is SyncLevel.STOCK_ONLY:
            return Tally()
        start = _start(account)
        backfill = look.look is Look.BACKFILL
        since = (look.since or start) if backfill else max(start, now - DEEPEST)
        reading = Reading(settings, now, since, None if backfill else start)
        returns = ReturnIntake(self._database, reading, self._metrics, self._clock)
        try:
            await returns.stream(account.for_looks.export_returns(since), self._storing)
        except AccountRejected:
            raise
        except (BudgetSpent, MarketplaceError) as error:
            if isinstance(error, Throttled):
                await self._accounts.rest(settings, error.service)
            about = {"connection": look.connection, "look": look.look}
            log.warning("returns not read", **about, error=str(error))
        return returns.tally

    async def _scope(
        self, account: Account, look: ClaimedLook, now: datetime
    ) -> tuple[datetime | None, list[OrderId]]:
        """From when the look reads, None when it has nothing to read; and orders to read by id."""
        if look.look is not Look.OPEN:
            return self._since(account, look, now), []
        async with self._database.connection() as conn:
            oldest = await order_store.oldest_open(conn, look.connection, MOST_BY_ID + 1)
        old = [order_id for order_id, placed in oldest if placed < now - _OLD][:MOST_BY_ID]
        rest = [placed for order_id, placed in oldest if order_id not in old]
        since = rest[0] if rest else now if old else None
        return since, old

    def _since(self, account: Account, look: ClaimedLook, now: datetime) -> datetime:
        start = _start(account)
        match look.look:
            case Look.FRESH:
                return start if look.cursor is None else max(start, look.cursor - OVERLAP)
            case Look.DEEP | Look.OPEN:
                return max(start, now - DEEPEST)
            case Look.BACKFILL:
                return look.since or start
            case _:
                assert_never(look.look)

    async def _succeed(
        self, settings: ConnectionSettings, look: ClaimedLook, tally: Tally, returns: Tally
    ) -> None:
        now = self._clock()
        cursor = max(filter(None, (look.cursor, tally.newest)), default=None)
        found = f"{tally}; returns: {returns}" if returns.read else str(tally)
        async with self._database.transaction() as tx:
            kept = await looks.finish(
                tx,
                look,
                due_at=next_due(settings, look.look, now),
                cursor=min(cursor, now) if cursor else None,
                summary=found,
            )
        tell = log.info if tally.news or returns.news else log.debug
        tell("looked", connection=look.connection, look=look.look, found=found, kept=kept)

    async def _throttled(self, look: ClaimedLook, error: Throttled) -> None:
        try:
            account = await self._accounts.get(look.connection)
            until = await self._accounts.rest(account.settings, error.service)
        except (PostgresError, UnknownConnection) as failure:
            await self._fail(look, str(failure), self._clock() + backoff(look.failures + 1))
        else:
            await self._fail(look, str(error), until)

    async def _fail(self, look: ClaimedLook, reason: str, due_at: datetime) -> None:
        log.warning(
            "look not finished",
            connection=look.connection,
            look=look.look,
            error=reason,
            again_at=due_at.isoformat(timespec="seconds"),
        )
        try:
            async with self._database.transaction() as tx:
                await looks.finish(tx, look, due_at=due_at, error=reason)
        except PostgresError as error:
            log.warning("look runs out by itself", connection=look.connection, error=str(error))


def _start(account: Account) -> datetime:
    """Midnight of `sync_from` in the connection's zone."""
    settings = account.settings
    zone = ZoneInfo(settings.timezone)
    day = settings.sync_from or account.connection.added_at.astimezone(zone).date()
    return datetime.combine(day, time_of_day(), zone)


def next_due(settings: ConnectionSettings, look: Look, now: datetime) -> datetime | None:
    """When the look is due again; None for a backfill, which is done once."""
    match look:
        case Look.FRESH:
            return now + max(settings.poll_interval, _affordable(settings))
        case Look.OPEN:
            return now + settings.open_look_interval
        case Look.DEEP:
            return next_deep(settings, now)
        case Look.BACKFILL:
            return None
        case _:
            assert_never(look)


def _affordable(settings: ConnectionSettings) -> timedelta:
    """The shortest interval at which the hour's calls last the hour."""
    others = timedelta(hours=1) / settings.open_look_interval
    others += timedelta(hours=1) / settings.deep_look_interval
    calls = settings.max_calls_per_hour * (1 - ACTION_SHARE)
    # However often open orders are read: half of the calls are for new ones.
    return timedelta(hours=1) / max(calls - others, calls / 2, 1)


def next_deep(settings: ConnectionSettings, now: datetime) -> datetime:
    """A day or more apart: the night after; else simply the interval."""
    due = now + settings.deep_look_interval
    if settings.deep_look_interval < timedelta(days=1):
        return due
    zone = ZoneInfo(settings.timezone)
    night = datetime.combine(due.astimezone(zone).date(), _NIGHT, zone)
    night += _NIGHT_LASTS * (zlib.crc32(settings.id.encode()) / 2**32)  # not all at once
    return night if night > now else night + timedelta(days=1)
