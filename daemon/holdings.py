"""What this process holds for a few seconds at a time: roles, looks and actions.

All holds are renewed together every second and run out after HOLD, so whatever a crashed or frozen
process held is taken over within seconds; so is what this process no longer works on but could not
give back. Who renews in time ends the database sessions of those who do not. Renewing waits for no
other work: it has a connection of its own, and passes over actions and looks that somebody changes
at this moment. `fresh` tells a worker whether its holds can still be trusted; nothing is sent to
Spartoo otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from functools import partial

import structlog

from adapters.postgres import actions, leases, looks, processes
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError
from adapters.postgres.looks import Look
from daemon.clock import counter
from daemon.metrics import Metrics
from daemon.supervisor import cancel, wait_or_stop
from daemon.together import Together
from statemachine.model import ConnectionId

log = structlog.get_logger(__name__)

HOLD = timedelta(seconds=4)
_SILENT = timedelta(seconds=3.5)  # renewed nothing for so long: seen within five seconds as well
_RENEW_SECONDS = 1.0
_CLAIM_SECONDS = 0.5  # while another process has a role: HOLD and this are under five seconds
_WEDGED_SECONDS = 180.0  # every limit on a statement or a connection has run out long before
ROLES = ("relay", "commands", "stock")


class HoldLost(Exception):
    """Another process may have taken this over; nothing was sent."""


class Withdrawn(Exception):
    """Somebody withdrew the action before its call; nothing was sent."""


_in_hand: ContextVar[Callable[[], None] | None] = ContextVar("work in hand", default=None)
_changing: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("change", default=None)


async def check_hold() -> None:
    """Raise HoldLost when what this task carries out may be another process's by now.

    Raises Withdrawn where the call changes what nobody wants changed any more.
    """
    check, wanted = _in_hand.get(), _changing.get()
    if wanted is not None:
        await wanted()
    if check is not None:
        check()


@asynccontextmanager
async def alive(database: Database) -> AsyncIterator[None]:
    """A sign of life every second, for a process without roles that locks much for long.

    Frozen inside, its sessions are ended by a daemon, as those of a frozen daemon are.
    """
    await _sign(database)  # before anything is locked
    beating = asyncio.create_task(_beat(database), name="sign of life")
    try:
        yield
    finally:
        await cancel([beating])
        with suppress(PostgresError):
            async with database.reserved() as conn:
                await processes.leave(conn, database.holder)


async def _beat(database: Database) -> None:
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        await _sign(database)


async def _sign(database: Database) -> None:
    with suppress(PostgresError):  # the work meets the same, and tells
        async with database.reserved() as conn:
            await processes.heartbeat(conn, database.holder, _SILENT)


class Holdings:
    """Keeps this process's holds alive and knows which roles it has."""

    def __init__(self, database: Database, metrics: Metrics):
        self.holder = database.holder
        self.looks_in_hand: set[tuple[ConnectionId, Look]] = set()
        self.actions_in_hand: set[int] = set()
        self._database = database
        self._metrics = metrics
        self._epochs: dict[str, int] = {}
        self._proving = Together(self._read_wanted)
        self._renewed_at = float("-inf")
        self._turned_at = asyncio.get_running_loop().time()

    @property
    def fresh(self) -> bool:
        """True while no other process can have taken over what this one holds."""
        age = counter() - self._renewed_at
        return age < HOLD.total_seconds() * 0.75

    @property
    def turning(self) -> bool:
        """True while renewing goes on, also without success: a database away is waited for."""
        return asyncio.get_running_loop().time() - self._turned_at < _WEDGED_SECONDS

    def carry_out(self, action_id: int) -> None:
        """From here on this task calls a marketplace only while the action is ours."""
        _in_hand.set(partial(self._check, action_id))

    def _check(self, action_id: int) -> None:
        if not self.fresh or action_id not in self.actions_in_hand:
            raise HoldLost("the hold on this action has run out; nothing was sent")

    @contextmanager
    def changing(self, action_id: int) -> Iterator[None]:
        """The calls inside change the marketplace, and only while the action is wanted."""
        token = _changing.set(partial(self._check_wanted, action_id))
        try:
            yield
        finally:
            _changing.reset(token)

    async def _check_wanted(self, action_id: int) -> None:
        if not await self._proving.do(None, action_id):
            raise Withdrawn("the action is not wanted any more; nothing was sent")

    async def _read_wanted(self, _: None, ids: Sequence[int]) -> Sequence[bool]:
        async with self._database.connection() as conn:
            wanted = await actions.wanted(conn, self.holder, ids)
        return [action_id in wanted for action_id in ids]

    def carry_out_as(self, role: str) -> None:
        """From here on this task calls a marketplace only in this tenure of the role."""
        _in_hand.set(partial(self._check_role, role, self.epoch(role)))

    def _check_role(self, role: str, epoch: int | None) -> None:
        if epoch is None or self.epoch(role) != epoch:
            raise HoldLost(f"the role {role} is another process's; nothing was sent")

    def epoch(self, role: str) -> int | None:
        """The number of this tenure of the role; None when another process has it."""
        return self._epochs.get(role) if self.fresh else None

    async def gained(self, role: str, stop: asyncio.Event) -> int | None:
        """Wait until this process has the role; None when stopping first."""
        while not stop.is_set():
            epoch = self.epoch(role)
            if epoch is not None:
                return epoch
            await wait_or_stop(stop, 0.2)
        return None

    async def run(self) -> None:
        """Renew until cancelled: also while what is in hand is being finished."""
        while True:
            await self._renew()
            self._turned_at = asyncio.get_running_loop().time()
            await asyncio.sleep(
                _RENEW_SECONDS if self._epochs.keys() == {*ROLES} else _CLAIM_SECONDS
            )

    async def _renew(self) -> None:
        punctual, started = self.fresh, counter()
        try:
            async with self._database.reserved() as conn:
                for role in ROLES:
                    await self._hold(role, await leases.hold(conn, role, self.holder, HOLD))
                await looks.heartbeat(conn, self.holder, HOLD, self.looks_in_hand)
                in_hand = set(self.actions_in_hand)
                kept = await actions.heartbeat(conn, self.holder, HOLD, in_hand)
                self.actions_in_hand -= in_hand - kept
                await processes.heartbeat(conn, self.holder, _SILENT)
        except Exception as error:
            if isinstance(error, PostgresError):
                log.warning("holds not renewed", error=str(error))
            else:  # nobody foresaw it: what is held runs out, nothing is done twice
                log.exception("holds not renewed")
            if not self.fresh:
                self._leads_nothing()
            return
        self._renewed_at = started
        if punctual and self.fresh:  # else the database may be slow, and slow for everyone
            await self._end_silent()

    async def _end_silent(self) -> None:
        """What a frozen process has locked must not wait until it is thawed."""
        try:
            async with self._database.reserved() as conn:
                ended = await processes.end_silent(conn, self.holder)
        except PostgresError as error:
            log.warning("sessions of frozen processes not ended", error=str(error))
            return
        except Exception:
            log.exception("sessions of frozen processes not ended")
            return
        for holder, sessions in ended.items():
            log.warning(
                "process not heard of; its sessions ended", holder=holder, sessions=sessions
            )

    async def _hold(self, role: str, epoch: int | None) -> None:
        if epoch != self._epochs.get(role):
            log.info("role gained" if epoch else "role lost", role=role, epoch=epoch)
        if epoch is None:
            self._epochs.pop(role, None)
        else:
            self._epochs[role] = epoch
        self._metrics.leader.labels(role).set(epoch is not None)

    def _leads_nothing(self) -> None:
        """As far as this process can know."""
        for role in ROLES:
            self._metrics.leader.labels(role).set(0)

    async def release(self) -> None:
        """Let others take over at once."""
        try:
            async with self._database.connection() as conn:
                await leases.release(conn, self.holder)
                await looks.release(conn, self.holder)
                await processes.leave(conn, self.holder)
        except PostgresError as error:
            log.warning("roles run out by themselves", error=str(error))
        self._epochs.clear()
