"""Outbox → broker: publishes the event log in order and keeps what was confirmed.

Invariants: a subject's events are published in sequence, the next only after the one before is
confirmed; the stored position never passes an event that is not; positions missing in the log are
waited for until no transaction can fill them any more. Gaps are looked into after the log was read
on: an event of a subject commits after the one before it, so whatever the first statement sees has
its predecessors in what the second sees.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from time import monotonic

import structlog
from structlog.typing import FilteringBoundLogger

from adapters.ports import BrokerUnavailable, EventPublisher, LoggedEvent
from adapters.postgres import connections, events
from adapters.postgres import orders as order_store
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import PostgresError
from daemon.backoff import backoff, failures_in_a_row
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.moves import tell_moves
from daemon.steps import take_steps
from daemon.supervisor import wait_or_stop
from daemon.tracing import note_span, shared_span
from daemon.transactions import in_transaction
from statemachine.changes import Changes, EventType
from statemachine.facts import AcceptedPublished, Fact
from statemachine.model import ConnectionId, OrderId

log = structlog.get_logger(__name__)

WINDOW = 500
LOOKAHEAD = 4 * WINDOW  # how far past an unconfirmed event others are published


class RoleLost(Exception):
    """Another process is the relay now."""


class LogOnly:
    """No broker configured: the event log holding an event is all the publishing there is."""

    async def publish(self, window: Iterable[LoggedEvent]) -> list[str | None]:
        """Every event counts as confirmed."""
        return [None for _ in window]


class Window:
    """What has been read of the log and is not confirmed, in position order."""

    def __init__(self, position: int):
        self.read_to = position
        self.stored = position
        self.waiting: dict[int, LoggedEvent] = {}
        self.gaps: dict[int, int] = {}  # missing position → no later transaction can fill it

    @property
    def confirmed_to(self) -> int:
        """Every event up to here is confirmed, or never existed."""
        unsettled = min([*self.waiting, *self.gaps], default=self.read_to + 1)
        return min(unsettled - 1, self.read_to)

    @property
    def room(self) -> int:
        """How many events may be read on: none is published further past an unconfirmed one."""
        return LOOKAHEAD - (self.read_to - self.confirmed_to)

    def take(self, found: Iterable[LoggedEvent]) -> list[int]:
        """Add events read on from `read_to`; returns the positions that were missing."""
        missing: list[int] = []
        for event in found:
            missing += range(self.read_to + 1, event.position)
            self.read_to = event.position
            self.waiting[event.position] = event
        return missing

    def fill(self, found: Iterable[LoggedEvent]) -> None:
        """Add events that turned up in gaps."""
        for event in found:
            del self.gaps[event.position]
            self.waiting[event.position] = event
        self.waiting = dict(sorted(self.waiting.items()))

    def close(self, positions: Iterable[int]) -> None:
        """These gaps stay gaps."""
        for position in positions:
            del self.gaps[position]

    def next_wave(self) -> list[LoggedEvent]:
        """The oldest waiting event of each subject, up to a window of them."""
        wave: dict[tuple[str, str], LoggedEvent] = {}
        for event in self.waiting.values():
            wave.setdefault((event.source, event.subject), event)
            if len(wave) == WINDOW:
                break
        return list(wave.values())


class Relay:
    """Publishes while this process has the role `relay`."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        holdings: Holdings,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ):
        self._database = database
        self._publisher = publisher
        self._holdings = holdings
        self._metrics = metrics
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, through every outage of broker and database.

        An event nobody foresaw holds the outbox up, and is seen there; everything else goes on.
        """
        failures = 0
        while (epoch := await self._holdings.gained("relay", stop)) is not None:
            started = monotonic()
            try:
                await self._relay(epoch, stop)
                continue
            except RoleLost:
                log.info("relay handed over")
                continue
            except (BrokerUnavailable, PostgresError) as error:
                log.warning("relay waits", error=str(error))
            except Exception:
                log.exception("relay failed")
            failures = failures_in_a_row(failures, monotonic() - started)
            await wait_or_stop(stop, backoff(failures, first=0.5, cap=15).total_seconds())

    async def _relay(self, epoch: int, stop: asyncio.Event) -> None:
        async with self._database.connection() as conn:
            window = Window(await events.relay_position(conn))
        while not stop.is_set():
            if self._holdings.epoch("relay") != epoch:
                raise RoleLost
            await self._read(window)
            if window.waiting:
                if not await self._publish(window, epoch):
                    await wait_or_stop(stop, 1.0)
            elif window.confirmed_to > window.stored:  # a gap has closed behind what was published
                await self._settle(window, [], epoch)
            else:
                # gaps close within moments; an idle log is woken by the next event
                await self._database.wakeups.wait("events", 0.05 if window.gaps else 1.0)

    async def _read(self, window: Window) -> None:
        """Read on from where the window ends, and look into its gaps again."""
        async with self._database.connection() as conn:
            gaps = list(window.gaps)
            missing: list[int] = []
            if (room := window.room) > 0:
                missing = window.take(await events.after(conn, window.read_to, room))
            if gaps:
                oldest_running = await events.oldest_running(conn)
                window.fill(await events.at(conn, gaps))
                still = [p for p in gaps if p in window.gaps]
                window.close([p for p in still if window.gaps[p] <= oldest_running])
            if missing:
                next_to_come = await events.next_transaction(conn)
                window.gaps.update(dict.fromkeys(missing, next_to_come))

    async def _publish(self, window: Window, epoch: int) -> bool:
        """Publish one wave and store what was confirmed; False when the broker took nothing."""
        wave, started = window.next_wave(), monotonic()
        with self._metrics.event_publish.time():
            results = await self._publisher.publish(wave)
        confirmed = [event for event, why_not in zip(wave, results, strict=True) if not why_not]
        for event, why_not in zip(wave, results, strict=True):
            if why_not:
                log.warning("event not taken", event_id=str(event.id), error=why_not)
        told, seconds = log.bind(), monotonic() - started
        for event in confirmed:
            del window.waiting[event.position]
            _tell(told, event, seconds)
        await self._settle(window, confirmed, epoch)
        return bool(confirmed)

    async def _settle(self, window: Window, confirmed: list[LoggedEvent], epoch: int) -> None:
        """Orders whose acceptance the broker has are synced, in the transaction of the position."""
        accepted: dict[ConnectionId, dict[OrderId, LoggedEvent]] = {}
        for event in confirmed:
            if event.type is EventType.ORDER_ACCEPTED and event.connection and event.order_id:
                orders = accepted.setdefault(ConnectionId(event.connection), {})
                orders[OrderId(event.order_id)] = event
            elif event.type is EventType.ORDER_NEW and event.connection:
                self._metrics.confirmed(event.connection, event.time, self._clock())
        position = window.confirmed_to
        try:
            synced = await in_transaction(
                self._database, lambda tx: self._store(tx, accepted, position, epoch)
            )
        except (PostgresError, RoleLost):
            raise
        except Exception:
            log.exception("orders not synced together: each connection is tried by itself")
            synced = await in_transaction(
                self._database, lambda tx: self._store(tx, accepted, position, epoch, alone=True)
            )
        window.stored = position
        for connection_id, changes in synced.items():
            tell_moves(self._metrics, connection_id, changes)

    async def _store(
        self,
        tx: Tx,
        accepted: dict[ConnectionId, dict[OrderId, LoggedEvent]],
        position: int,
        epoch: int,
        *,
        alone: bool = False,
    ) -> dict[ConnectionId, list[Changes]]:
        sync = self._sync_alone if alone else self._sync
        synced = {}
        if len(accepted) > 1:  # all orders before anything else, whoever else works on them
            keys = [(order_id, c) for c, orders in accepted.items() for order_id in orders]
            await order_store.lock_across(tx, keys)
        for connection_id, orders in sorted(accepted.items()):
            synced[connection_id] = await sync(tx, connection_id, orders)
        if not await events.advance(tx, position, epoch):
            raise RoleLost
        return synced

    async def _sync(
        self, tx: Tx, connection_id: ConnectionId, orders: Mapping[OrderId, LoggedEvent]
    ) -> list[Changes]:
        connection = await connections.get(tx, connection_id)
        facts: dict[OrderId, Fact] = dict.fromkeys(orders, AcceptedPublished())
        traces: dict[Hashable, str | None] = {i: e.traceparent for i, e in orders.items()}
        with shared_span("sync", traces):
            stepped = await take_steps(tx, connection.settings, facts, self._clock())
        return stepped.changes

    async def _sync_alone(
        self, tx: Tx, connection_id: ConnectionId, orders: Mapping[OrderId, LoggedEvent]
    ) -> list[Changes]:
        """A connection that cannot be stepped holds up no other: its orders follow later."""
        try:
            async with tx.transaction():
                return await self._sync(tx, connection_id, orders)
        except PostgresError:
            raise
        except Exception:
            log.exception("orders not synced", connection=connection_id, orders=list(orders))
            await order_store.note_published(tx, connection_id, orders, self._clock())
            await connections.note_change(tx, connection_id)
            return []


def _tell(told: FilteringBoundLogger, event: LoggedEvent, seconds: float) -> None:
    """The broker has confirmed it."""
    about = {"event_id": str(event.id), "type": str(event.type), "subject": event.subject}
    told.debug("event published", connection=event.connection, order_id=event.order_id, **about)
    if event.traceparent is not None:
        note_span("publish", seconds, event.traceparent, **about)
