"""From exported XML to stored steps: what is unchanged costs a comparison, no write."""

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from adapters.ports import ExportedOrder, UnreadableOrder
from adapters.postgres import communications, quarantine
from adapters.postgres import orders as order_store
from adapters.postgres.communications import OrderCall
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import PostgresError
from adapters.postgres.events import append
from adapters.spartoo import EXPORT_ORDERS
from daemon.metrics import Metrics
from daemon.moves import tell_moves
from daemon.steps import Stepped, take_steps
from daemon.transactions import in_transaction
from statemachine.connection import ConnectionSettings
from statemachine.events import UNREADABLE, quarantined_event
from statemachine.facts import Seen
from statemachine.model import ConnectionId, OrderId

log = structlog.get_logger(__name__)

BATCH = 500  # of an export stored in one transaction


@dataclass(slots=True)
class Tally:
    """What a look has found so far; `newest` is the latest purchase date among its orders."""

    read: int = 0
    unchanged: int = 0
    new: int = 0
    changed: int = 0
    quarantined: int = 0
    newest: datetime | None = None

    @property
    def news(self) -> bool:
        """True when anything was stored."""
        return bool(self.new or self.changed or self.quarantined)

    def __str__(self) -> str:
        return (
            f"{self.read} read: {self.new} new, {self.changed} changed, "
            f"{self.unchanged} unchanged, {self.quarantined} quarantined"
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Where and when a batch was read; orders placed before `not_before` are left alone.

    `anew`: somebody asked for these orders, so what is unchanged is looked at all the same.
    """

    settings: ConnectionSettings
    read_at: datetime
    not_before: datetime | None = None
    anew: bool = False


@dataclass(slots=True)
class _Batch:
    facts: dict[OrderId, Seen] = field(default_factory=dict)
    exported: dict[OrderId, ExportedOrder] = field(default_factory=dict)
    unreadable: dict[OrderId, tuple[ExportedOrder, str]] = field(default_factory=dict)


async def ingest(
    database: Database,
    reading: Reading,
    exported: Sequence[ExportedOrder],
    now: datetime,
    metrics: Metrics,
    tally: Tally,
) -> None:
    """Store what is new in a batch of an export; adds to the tally. Raises DatabaseUnavailable."""
    connection = ConnectionId(reading.settings.id)
    keyed = {_key(order): order for order in exported}
    async with database.connection() as conn:
        known = await order_store.fingerprints(conn, connection, keyed.keys())
    changed = {
        key: order
        for key, order in keyed.items()
        if reading.anew or known.get(key) != order.fingerprint
    }
    tally.read += len(exported)
    tally.unchanged += len(keyed) - len(changed)
    if not changed:
        return
    batch = _read(changed, known.keys(), reading)
    try:
        await _store_and_count(database, reading, batch, now, metrics, tally)
    except PostgresError:
        raise
    except Exception:
        log.exception("orders stored one by one", connection=connection, orders=len(batch.facts))
        await _store_apart(database, reading, batch, now, metrics, tally)


async def _store_and_count(
    database: Database,
    reading: Reading,
    batch: _Batch,
    now: datetime,
    metrics: Metrics,
    tally: Tally,
) -> None:
    stepped = await in_transaction(database, lambda tx: _store(tx, reading, batch, now))
    _count(stepped, batch, tally)
    tell_moves(metrics, reading.settings.id, stepped.changes)


async def _store_apart(
    database: Database,
    reading: Reading,
    batch: _Batch,
    now: datetime,
    metrics: Metrics,
    tally: Tally,
) -> None:
    """One order of the batch is one nobody foresaw: it goes to quarantine, the others go on."""
    await _store_and_count(
        database, reading, _Batch(unreadable=batch.unreadable), now, metrics, tally
    )
    for order_id, seen in batch.facts.items():
        part = _Batch({order_id: seen}, {order_id: batch.exported[order_id]})
        try:
            await _store_and_count(database, reading, part, now, metrics, tally)
        except PostgresError:
            raise
        except Exception as error:
            log.exception("order not stored", connection=reading.settings.id, order_id=order_id)
            why = f"{type(error).__name__} in the daemon, see its log"
            held = _Batch(unreadable={order_id: (batch.exported[order_id], why)})
            await _store_and_count(database, reading, held, now, metrics, tally)


def _key(order: ExportedOrder) -> OrderId:
    if order.order_id:
        return order.order_id
    return OrderId(UNREADABLE + hashlib.blake2b(order.xml, digest_size=8).hexdigest())


def _read(
    changed: Mapping[OrderId, ExportedOrder], known: Container[OrderId], reading: Reading
) -> _Batch:
    batch = _Batch()
    for key, exported in changed.items():
        try:
            order = exported.read()
        except UnreadableOrder as error:
            batch.unreadable[key] = (exported, str(error))
            continue
        early = reading.not_before is not None and order.purchased_at < reading.not_before
        if not early or key in known:
            batch.facts[key] = Seen(order, reading.read_at)
            batch.exported[key] = exported
    return batch


async def _store(tx: Tx, reading: Reading, batch: _Batch, now: datetime) -> Stepped:
    """All of a batch: the steps, and what could not be read."""
    settings = reading.settings
    connection = ConnectionId(settings.id)
    fingerprints = {key: exported.fingerprint for key, exported in batch.exported.items()}
    stepped = await take_steps(tx, settings, batch.facts, now, fingerprints)
    same = {c.order.id for c in stepped.changes if not c.touched and not c.stale}
    if same:
        kept = {key: fingerprints[key] for key in same}
        await order_store.keep_fingerprints(tx, connection, kept)
    unreadable = batch.unreadable | {
        key: (batch.exported[key], str(error)) for key, error in stepped.unplaceable.items()
    }
    if not reading.anew:  # else the call is recorded by itself
        await communications.add(tx, _looks(stepped, reading.read_at))
    if stepped.changes:
        await quarantine.remove(tx, connection, [c.order.id for c in stepped.changes])
    for key, (exported, error) in sorted(unreadable.items()):
        await _quarantine(tx, connection, key, exported, error, now)
    return stepped


def _looks(stepped: Stepped, read_at: datetime) -> list[OrderCall]:
    """What the orders that a look changed keep of it."""
    return [
        OrderCall(
            change.order.connection,
            change.order.id,
            EXPORT_ORDERS,
            "read",
            f"look: status {change.order.facts.status}{', first seen' if change.created else ''}",
            read_at,
        )
        for change in stepped.changes
        if change.touched
    ]


async def _quarantine(
    tx: Tx,
    connection: ConnectionId,
    key: OrderId,
    exported: ExportedOrder,
    error: str,
    now: datetime,
) -> None:
    fingerprint, xml = exported.fingerprint, exported.xml
    first_seen = await quarantine.put(tx, connection, key, fingerprint, xml, error, now)
    if first_seen is not None:
        log.warning("order quarantined", connection=connection, order_id=key, error=error)
        event = quarantined_event(connection, key, error, first_seen=first_seen, now=now)
        await append(tx, [event])


def _count(stepped: Stepped, batch: _Batch, tally: Tally) -> None:
    created = sum(changes.created for changes in stepped.changes)
    touched = sum(changes.touched for changes in stepped.changes)
    tally.new += created
    tally.changed += touched - created
    tally.unchanged += len(stepped.changes) - touched
    tally.quarantined += len(batch.unreadable) + len(stepped.unplaceable)
    for seen in batch.facts.values():
        if tally.newest is None or seen.order.purchased_at > tally.newest:
            tally.newest = seen.order.purchased_at
