"""From exported XML to stored steps, for orders and returns alike.

What is unchanged costs a comparison, no write; what cannot be read or stored is put aside with its
XML and the reason, and holds up none of the others.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Container, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import ClassVar, Generic, Protocol, TypeVar

import structlog

from adapters.loop import TimeSlice
from adapters.ports import Exported, UnreadableOrder
from adapters.postgres import quarantine
from adapters.postgres.database import Conn, Database, Tx
from adapters.postgres.errors import PostgresError
from daemon.behind import Behind
from daemon.metrics import Metrics
from daemon.transactions import in_transaction
from statemachine.connection import ConnectionSettings
from statemachine.events import UNREADABLE
from statemachine.model import ConnectionId

log = structlog.get_logger(__name__)

BATCH = 500  # of an export stored in one transaction
_BATCH_BYTES = 1 << 19  # of their XML, too: large ones are stored in smaller batches
_AT_ONCE = nullcontext()  # storing waits for nobody


@dataclass(slots=True)
class Tally:
    """What a look has found so far; `newest` is the latest date among what it could read."""

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
    """Where and when something was read; what is from before `not_before` is left alone.

    `since`: it is all there is from then on. `anew`: somebody asked for it, so what is unchanged is
    looked at all the same. `service` read it, where that is to be recorded.
    """

    settings: ConnectionSettings
    read_at: datetime
    since: datetime | None = None
    not_before: datetime | None = None
    anew: bool = False
    service: str | None = None

    @property
    def connection(self) -> ConnectionId:
        return ConnectionId(self.settings.id)


class Change(Protocol):
    """What the intake asks of an order's or a return's changes."""

    @property
    def created(self) -> bool: ...

    @property
    def touched(self) -> bool: ...

    @property
    def stale(self) -> bool: ...


Id = TypeVar("Id", bound=str)
Read = TypeVar("Read")
Changed = TypeVar("Changed", bound=Change)


@dataclass(slots=True)
class Batch(Generic[Id, Read]):
    """What differs from what was read before, and what of it cannot be read, with the reason."""

    found: dict[Id, Read] = field(default_factory=dict)
    exported: dict[Id, Exported[Read]] = field(default_factory=dict)
    unreadable: dict[Id, tuple[Exported[Read], str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.found or self.unreadable)

    @property
    def fingerprints(self) -> dict[Id, bytes]:
        return {key: exported.fingerprint for key, exported in self.exported.items()}


@dataclass(frozen=True, slots=True)
class Steps(Generic[Id, Changed]):
    """What a batch changed; `unplaceable` were first seen in an unknown status."""

    changes: Mapping[Id, Changed]
    unplaceable: Mapping[Id, Exception]


async def _batches(export: AsyncGenerator[Exported[Read]]) -> AsyncGenerator[list[Exported[Read]]]:
    batch: list[Exported[Read]] = []
    size = 0
    async with aclosing(export) as everything:
        async for exported in everything:
            batch.append(exported)
            size += len(exported.xml)
            if len(batch) == BATCH or size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


class Intake(ABC, Generic[Id, Read, Changed]):
    """One reading on its way into the store; its subclasses say what one thing of it is."""

    noun: ClassVar[str]

    def __init__(
        self,
        database: Database,
        reading: Reading,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ):
        self.tally = Tally()
        self._database = database
        self._reading = reading
        self._metrics = metrics
        self._clock = clock
        self._without_id: set[Id] = set()

    @abstractmethod
    async def _fingerprints(self, conn: Conn, keys: Collection[Id]) -> dict[Id, bytes]:
        """What was last read of these, in quarantine or not."""

    @abstractmethod
    def _dated(self, found: Read) -> datetime:
        """When it came into being on the marketplace."""

    @abstractmethod
    async def _step(self, tx: Tx, batch: Batch[Id, Read]) -> Steps[Id, Changed]:
        """Store what follows from what was found."""

    @abstractmethod
    async def _keep_fingerprints(self, tx: Tx, fingerprints: Mapping[Id, bytes]) -> None:
        """The XML differs, its meaning does not."""

    @abstractmethod
    def _count_changes(self, changes: Collection[Changed]) -> None:
        """They are stored: count them in the metrics."""

    def _quarantine_key(self, key: Id) -> str:
        return key

    async def _told(self, tx: Tx, key: Id, error: str, first_seen: datetime) -> None:
        """Tell the outside what is newly in quarantine."""

    async def stream(
        self,
        export: AsyncGenerator[Exported[Read]],
        storing: AbstractAsyncContextManager[object] = _AT_ONCE,
    ) -> None:
        """Take all of an export, each batch in a transaction, at the database within `storing`.

        While one is stored the next is read. Raises what the export raises. At its end, what stood
        in quarantine without an id and was not in it any more is gone.
        """
        async with aclosing(_batches(export)) as batches, Behind() as behind:
            async for exported in batches:
                async with storing:
                    batch = await self._sift(exported)
                await behind.do(partial(self._store_within, storing, batch))
        await self._forget_gone()

    async def _store_within(
        self, storing: AbstractAsyncContextManager[object], batch: Batch[Id, Read]
    ) -> None:
        async with storing:
            await self._store_or_isolate(batch)

    async def _forget_gone(self) -> None:
        since, read_at = self._reading.since, self._reading.read_at
        if since is None:
            return
        async with self._database.connection() as conn:
            await quarantine.remove_gone(
                conn,
                self._reading.connection,
                self._quarantine_key(self._as_id(UNREADABLE)),
                [self._quarantine_key(key) for key in self._without_id],
                read_from=since,
                read_at=read_at,
            )

    async def take(self, exported: Sequence[Exported[Read]]) -> None:
        """Store what is new among these. Raises DatabaseUnavailable."""
        await self._store_or_isolate(await self._sift(exported))

    async def _sift(self, exported: Sequence[Exported[Read]]) -> Batch[Id, Read]:
        """What of these differs from what was read before, read."""
        keyed = {self._key(one): one for one in exported}
        self._without_id.update(key for key, one in keyed.items() if one.id is None)
        async with self._database.connection() as conn:
            known = await self._fingerprints(conn, keyed.keys())
        changed = {
            key: one
            for key, one in keyed.items()
            if self._reading.anew or known.get(key) != one.fingerprint
        }
        self.tally.read += len(exported)
        self.tally.unchanged += len(keyed) - len(changed)
        return await self._read(changed, known.keys())

    def _key(self, exported: Exported[Read]) -> Id:
        """Its id; one that shows none goes by its XML."""
        return self._as_id(
            exported.id or UNREADABLE + hashlib.blake2b(exported.xml, digest_size=8).hexdigest()
        )

    @staticmethod
    @abstractmethod
    def _as_id(text: str) -> Id: ...

    async def _read(
        self, changed: Mapping[Id, Exported[Read]], known: Container[Id]
    ) -> Batch[Id, Read]:
        batch = Batch[Id, Read]()
        start, turn = self._reading.not_before, TimeSlice()
        for key, exported in changed.items():
            if turn.is_over():
                await turn.rest()
            try:
                found = exported.read()
            except UnreadableOrder as error:
                batch.unreadable[key] = (exported, str(error))
                continue
            if start is None or self._dated(found) >= start or key in known:
                batch.found[key] = found
                batch.exported[key] = exported
        return batch

    async def _store_or_isolate(self, batch: Batch[Id, Read]) -> None:
        if not batch:
            return
        try:
            await self._store(batch)
        except PostgresError:
            raise
        except Exception:
            about = {"connection": self._reading.connection, "count": len(batch.found)}
            log.exception("%ss stored one by one", self.noun, **about)
            await self._store_apart(batch)

    async def _store_apart(self, batch: Batch[Id, Read]) -> None:
        """One of the batch is one nobody foresaw: it goes to quarantine, the others go on."""
        await self._store(Batch(unreadable=batch.unreadable))
        for key, found in batch.found.items():
            exported = batch.exported[key]
            try:
                await self._store(Batch({key: found}, {key: exported}))
            except PostgresError:
                raise
            except Exception as error:
                about = {"connection": self._reading.connection, f"{self.noun}_id": key}
                log.exception("%s not stored", self.noun, **about)
                why = f"{type(error).__name__} in the daemon, see its log"
                await self._store(Batch(unreadable={key: (exported, why)}))

    async def _store(self, batch: Batch[Id, Read]) -> None:
        steps = await in_transaction(self._database, lambda tx: self._write(tx, batch))
        self._count(batch, steps)
        self._count_changes(steps.changes.values())

    async def _write(self, tx: Tx, batch: Batch[Id, Read]) -> Steps[Id, Changed]:
        """All of a batch: the steps, and what could not be read."""
        steps = await self._step(tx, batch)
        fingerprints = batch.fingerprints
        same = [k for k, change in steps.changes.items() if not change.touched and not change.stale]
        if same:
            await self._keep_fingerprints(tx, {key: fingerprints[key] for key in same})
        if steps.changes:
            keys = [self._quarantine_key(key) for key in steps.changes]
            await quarantine.remove(tx, self._reading.connection, keys)
        unplaceable = {k: (batch.exported[k], str(e)) for k, e in steps.unplaceable.items()}
        for key, (exported, error) in sorted((batch.unreadable | unplaceable).items()):
            await self._quarantine(tx, key, exported, error)
        return steps

    async def _quarantine(self, tx: Tx, key: Id, exported: Exported[Read], error: str) -> None:
        connection, now = self._reading.connection, self._clock()
        kept = (exported.fingerprint, exported.xml, error, now, self._reading.since)
        first_seen = await quarantine.put(tx, connection, self._quarantine_key(key), *kept)
        if first_seen is not None:
            about = {"connection": connection, f"{self.noun}_id": key}
            log.warning("%s quarantined", self.noun, **about, error=error)
            await self._told(tx, key, error, first_seen)

    def _count(self, batch: Batch[Id, Read], steps: Steps[Id, Changed]) -> None:
        tally, changes = self.tally, steps.changes.values()
        created = sum(change.created for change in changes)
        touched = sum(change.touched for change in changes)
        tally.new += created
        tally.changed += touched - created
        tally.unchanged += len(changes) - touched
        tally.quarantined += len(batch.unreadable) + len(steps.unplaceable)
        dates = map(self._dated, batch.found.values())
        tally.newest = max(filter(None, (tally.newest, *dates)), default=None)
