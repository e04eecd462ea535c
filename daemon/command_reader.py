"""Takes commands off the queue: each is carried out once, answered or dead-lettered, then acked.

Commands for one order keep the queue's order, also with those that switch its connection; commands
for different orders run side by side.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from time import monotonic
from typing import Any, assert_never

import structlog

from adapters.ports import BrokerUnavailable, CommandMessage, CommandSource
from adapters.postgres.errors import PostgresError
from daemon.backoff import backoff, failures_in_a_row
from daemon.command_messages import (
    AnyCommand,
    CatalogUpsert,
    ConnectionSwitch,
    ConnectionSync,
    OrderAcknowledge,
    OrderCancel,
    OrderDecision,
    OrderFetch,
    OrderShip,
    ReturnDecision,
    ReturnLabel,
    StockSet,
    UnreadableCommand,
    read_command,
    reply_body,
)
from daemon.commands import CommandDesk, Reply
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.supervisor import wait_or_stop
from daemon.tracing import span
from statemachine.facts import Refused

log = structlog.get_logger(__name__)

_NAMED = ("connection", "order_id", "return_id", "catalog", "product_id")

Work = Callable[[], Coroutine[Any, Any, None]]


class CommandReader:
    """Reads while this process has the role `commands`."""

    def __init__(
        self, source: CommandSource, desk: CommandDesk, holdings: Holdings, metrics: Metrics
    ):
        self._source = source
        self._desk = desk
        self._holdings = holdings
        self._metrics = metrics
        self._stop = asyncio.Event()
        self._epoch: int | None = None
        self._left = asyncio.Event()  # once no more commands are taken off the queue

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`, through every outage of the broker and what nobody foresaw."""
        self._stop = stop
        failures = 0
        while not stop.is_set():
            self._epoch = await self._holdings.gained("commands", stop)
            if self._epoch is None:
                return
            started = monotonic()
            try:
                await self._read(stop)
                continue
            except BrokerUnavailable as error:
                log.warning("commands wait", error=str(error))
            except Exception:
                log.exception("commands failed")
            failures = failures_in_a_row(failures, monotonic() - started)
            await wait_or_stop(stop, backoff(failures, first=0.5, cap=15).total_seconds())

    async def _read(self, stop: asyncio.Event) -> None:
        """Deal messages out to lanes until stopping, the role is lost or the broker is away."""
        lanes = Lanes()
        self._left.clear()
        reading = asyncio.create_task(self._deal(lanes), name="command queue")
        try:
            while not reading.done() and self._ours():
                if await wait_or_stop(stop, 0.2):
                    break
        finally:
            reading.cancel()
            outcome = (await asyncio.gather(reading, return_exceptions=True))[0]
            self._left.set()
            await lanes.drain()
        if isinstance(outcome, Exception):
            raise outcome

    async def _deal(self, lanes: "Lanes") -> None:
        async with aclosing(self._source.commands()) as messages:
            async for message in messages:
                await self._take(message, lanes)

    async def _take(self, message: CommandMessage, lanes: "Lanes") -> None:
        try:
            command = read_command(message.body, message.message_id)
        except UnreadableCommand as error:
            lanes.put_apart(partial(self._dead_letter, message, error))
            return
        lanes.put(
            command, partial(self._carry_out, message, command), partial(self._give_back, message)
        )

    def _ours(self) -> bool:
        """False once another process may be reading: it gets what is not begun."""
        return self._holdings.epoch("commands") == self._epoch

    async def _dead_letter(self, message: CommandMessage, error: UnreadableCommand) -> None:
        """What cannot be read is kept for a person, and the asker, if any, is told."""
        log.warning("command not readable", code=error.code, error=error.message)
        self._metrics.commands.labels("unreadable", "refused").inc()
        reply = reply_body(error.command_id, "refused", error=error)
        try:
            await message.dead_letter(f"{error.code}: {error.message}", reply)
        except BrokerUnavailable as failure:  # the broker still has it
            log.warning("command not dead-lettered", error=str(failure))

    async def _carry_out(self, message: CommandMessage, command: AnyCommand) -> None:
        about = {"command": command.command, "command_id": command.id, "by": command.by}
        about |= {name: getattr(command, name) for name in _NAMED if hasattr(command, name)}
        with span("command", **about):
            await self._carry_through(message, command, about)

    async def _carry_through(
        self, message: CommandMessage, command: AnyCommand, about: Mapping[str, str]
    ) -> None:
        try:
            if not self._ours():
                await self._give_back(message)
                return
            reply = await self._reply_or_release(message, command, about)
            if reply is not None:
                log.info("command carried out", **about, status=reply.status, error=reply.error)
                await _answer(message, reply)
        except BrokerUnavailable as error:
            # what is done is remembered: the command comes again and is only answered
            log.warning("command not answered", **about, error=str(error))

    async def _reply_or_release(
        self, message: CommandMessage, command: AnyCommand, about: Mapping[str, str]
    ) -> Reply | None:
        """What the asker is told; None when the message was given back, for another to do."""
        try:
            reply = await self._reply(command, about)
        except asyncio.CancelledError:  # an order.fetch that waits for Spartoo when we stop
            await self._give_back(message)
            raise
        if reply is None:
            await self._give_back(message)
        return reply

    async def _give_back(self, message: CommandMessage) -> None:
        """Once we take no more: what is given back before would come straight back to us."""
        await self._left.wait()
        await message.release()

    async def _reply(self, command: AnyCommand, about: Mapping[str, str]) -> Reply | None:
        """Carry it out, however long the database is away; None when another must do it.

        The message is kept meanwhile: a broker may count deliveries and give up on a command.
        """
        while True:
            try:
                return await self._desk.carry_out(command)
            except PostgresError as error:
                log.warning("command waits", **about, error=str(error))
            except Exception:
                log.exception("command failed", **about)
                failure = Refused("internal_error", "not carried out, see the daemon's log")
                return Reply("refused", reply_body(command.id, "refused", error=failure))
            if await wait_or_stop(self._stop, 1.0) or not self._ours():
                return None


async def _answer(message: CommandMessage, reply: Reply) -> None:
    """A refusal nobody waits for goes where a person finds it."""
    if reply.error is not None and not message.wants_reply:
        await message.dead_letter(reply.error, None)
    else:
        await message.answer(reply.body)


class Lanes:
    """Commands in the queue's order where they concern the same, beside one another elsewhere.

    A command has its keys to itself; what it only relies on (an order on its connection) it shares
    with others of its kind. The broker bounds how much there is: what is put in was prefetched and
    is not acknowledged yet.
    """

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}
        self._sharing: dict[str, set[asyncio.Task[None]]] = {}
        self._fetches: set[asyncio.Task[None]] = set()
        self._apart: set[asyncio.Task[None]] = set()

    def put(self, command: AnyCommand, work: Work, give_back: Work) -> None:
        """Begin once all earlier work on the same is done; give it back if that was cut off."""
        keys, shared = _keys(command), _relies_on(command)
        before = {self._last[key] for key in (*keys, *shared) if key in self._last}
        before |= {task for key in keys for task in self._sharing.get(key, ())}
        running = _after(before, work, give_back)
        task = asyncio.create_task(running, name=f"commands on {keys[0]}")
        self._last.update(dict.fromkeys(keys, task))
        if isinstance(command, OrderFetch):  # waits for Spartoo: its order alone waits for it
            self._fetches.add(task)
            shared = []
        for key in shared:
            self._sharing.setdefault(key, set()).add(task)
        task.add_done_callback(partial(self._forget, keys, shared))

    def put_apart(self, work: Work) -> None:
        """Begin now: it concerns nothing else."""
        task = asyncio.create_task(_guarded(work))
        self._apart.add(task)
        task.add_done_callback(self._apart.discard)

    def _forget(self, keys: Sequence[str], shared: Sequence[str], task: asyncio.Task[None]) -> None:
        self._fetches.discard(task)
        for key in keys:
            if self._last.get(key) is task:
                del self._last[key]
        for key in shared:
            self._sharing[key].discard(task)
            if not self._sharing[key]:
                del self._sharing[key]

    async def drain(self) -> None:
        """Finish what was put in, but for fetches and what waits behind them."""
        for task in self._fetches:
            task.cancel()
        sharing = (task for tasks in self._sharing.values() for task in tasks)
        everything = {*self._last.values(), *sharing, *self._fetches, *self._apart}
        await asyncio.gather(*everything, return_exceptions=True)


async def _after(before: Collection[asyncio.Task[None]], work: Work, give_back: Work) -> None:
    if before:
        await asyncio.wait(before)
    if any(task.cancelled() for task in before):
        await _guarded(give_back)
        raise asyncio.CancelledError  # what waits behind this one is given back too
    await _guarded(work)


async def _guarded(work: Work) -> None:
    """Whatever happens, other commands go on; the broker gives this one out again later."""
    try:
        await work()
    except Exception:
        log.exception("command not answered")


def _keys(command: AnyCommand) -> list[str]:
    """What it is about: at least one thing."""
    match command:
        case OrderDecision() | OrderCancel() | OrderShip() | OrderAcknowledge() | OrderFetch():
            return [f"connection {command.connection} order {command.order_id}"]
        case ReturnDecision() | ReturnLabel():
            return [f"connection {command.connection} return {command.return_id}"]
        case ConnectionSync() | ConnectionSwitch():
            return [f"connection {command.connection}"]
        case CatalogUpsert():
            catalog = f"catalog {command.catalog}"
            return [catalog, *(f"{catalog} {product.id}" for product in command.products)]
        case StockSet():
            return [f"catalog {command.catalog} {command.product_id}"]
        case _:
            assert_never(command)


def _relies_on(command: AnyCommand) -> list[str]:
    """What must not change under it: an order's or a return's connection."""
    if isinstance(command, ConnectionSync | ConnectionSwitch | CatalogUpsert | StockSet):
        return []
    return [f"connection {command.connection}"]
