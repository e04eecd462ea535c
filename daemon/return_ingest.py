"""Returns from exported XML to stored steps: what is unchanged costs a comparison, no write."""

import hashlib
from collections.abc import Container, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from adapters.ports import ExportedReturn, UnreadableOrder
from adapters.postgres import quarantine
from adapters.postgres import returns as return_store
from adapters.postgres.database import Database, Tx
from daemon.accounts import Account
from daemon.ingest import BATCH, Reading, Tally
from daemon.metrics import Metrics
from daemon.return_steps import SteppedReturns, take_return_steps
from daemon.transactions import in_transaction
from statemachine.events import UNREADABLE
from statemachine.model import ConnectionId, ReturnId
from statemachine.return_facts import ReturnSeen

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Batch:
    facts: dict[ReturnId, ReturnSeen] = field(default_factory=dict)
    exported: dict[ReturnId, ExportedReturn] = field(default_factory=dict)
    unreadable: dict[ReturnId, tuple[ExportedReturn, str]] = field(default_factory=dict)


async def look_at_returns(
    database: Database,
    account: Account,
    reading: Reading,
    since: datetime,
    metrics: Metrics,
    tally: Tally,
) -> None:
    """Stream the returns from `since` on into the store, a batch a transaction."""
    batch: list[ExportedReturn] = []
    async with aclosing(account.for_looks.export_returns(since)) as returns:
        async for exported in returns:
            batch.append(exported)
            if len(batch) == BATCH:
                await _ingest(database, reading, batch, metrics, tally)
                batch = []
    if batch:
        await _ingest(database, reading, batch, metrics, tally)


async def _ingest(
    database: Database,
    reading: Reading,
    exported: Sequence[ExportedReturn],
    metrics: Metrics,
    tally: Tally,
) -> None:
    """Store what is new in a batch; adds to the tally. Raises DatabaseUnavailable."""
    connection = ConnectionId(reading.settings.id)
    keyed = {_key(returned): returned for returned in exported}
    async with database.connection() as conn:
        known = await return_store.fingerprints(conn, connection, keyed.keys())
    changed = {k: found for k, found in keyed.items() if known.get(k) != found.fingerprint}
    tally.read += len(exported)
    tally.unchanged += len(keyed) - len(changed)
    if not changed:
        return
    batch = _read(changed, known.keys(), reading)
    stepped = await in_transaction(database, lambda tx: _store(tx, reading, batch))
    _count(stepped, batch, tally)
    metrics.count_return_changes(reading.settings.id, stepped.changes)


def _key(returned: ExportedReturn) -> ReturnId:
    if returned.return_id:
        return returned.return_id
    return ReturnId(UNREADABLE + hashlib.blake2b(returned.xml, digest_size=8).hexdigest())


def _read(
    changed: Mapping[ReturnId, ExportedReturn], known: Container[ReturnId], reading: Reading
) -> _Batch:
    batch = _Batch()
    for key, exported in changed.items():
        try:
            returned = exported.read()
        except UnreadableOrder as error:
            batch.unreadable[key] = (exported, str(error))
            continue
        early = reading.not_before is not None and returned.requested_at < reading.not_before
        if not early or key in known:
            batch.facts[key] = ReturnSeen(returned, reading.read_at)
            batch.exported[key] = exported
    return batch


async def _store(tx: Tx, reading: Reading, batch: _Batch) -> SteppedReturns:
    """All of a batch: the steps, and what could not be read."""
    settings, now = reading.settings, reading.read_at
    connection = ConnectionId(settings.id)
    fingerprints = {key: exported.fingerprint for key, exported in batch.exported.items()}
    stepped = await take_return_steps(tx, settings, batch.facts, now, fingerprints)
    same = {c.returned.id for c in stepped.changes if not c.touched and not c.stale}
    kept = {key: fingerprints[key] for key in same}
    await return_store.keep_fingerprints(tx, connection, kept)
    unreadable = batch.unreadable | {
        key: (batch.exported[key], str(error)) for key, error in stepped.unplaceable.items()
    }
    if stepped.changes:
        keys = [return_store.quarantine_key(c.returned.id) for c in stepped.changes]
        await quarantine.remove(tx, connection, keys)
    for key, (exported, error) in sorted(unreadable.items()):
        await _quarantine(tx, connection, key, exported, error, now)
    return stepped


async def _quarantine(
    tx: Tx,
    connection: ConnectionId,
    return_id: ReturnId,
    exported: ExportedReturn,
    error: str,
    now: datetime,
) -> None:
    """Keep it for a person; no event tells of it, for `order.quarantined` speaks of orders."""
    key, fingerprint = return_store.quarantine_key(return_id), exported.fingerprint
    news = await quarantine.put(tx, connection, key, fingerprint, exported.xml, error, now)
    if news is not None:
        log.warning("return quarantined", connection=connection, return_id=return_id, error=error)


def _count(stepped: SteppedReturns, batch: _Batch, tally: Tally) -> None:
    created = sum(changes.created for changes in stepped.changes)
    touched = sum(changes.touched for changes in stepped.changes)
    tally.new += created
    tally.changed += touched - created
    tally.unchanged += len(stepped.changes) - touched
    tally.quarantined += len(batch.unreadable) + len(stepped.unplaceable)
