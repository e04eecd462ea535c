"""A campaign: rounds of trade under blows, each followed by quiet and a verdict."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from rich.console import Console

from adapters.spartoo.simulator import Simulator
from adapters.spartoo.simulator.catalog import VARIANTS
from tests.chaos.clerk import Clerk
from tests.chaos.cluster import Brokers
from tests.chaos.faults import Blows, Schedule
from tests.chaos.figures import COUNTS, Figures
from tests.chaos.fleet import Fleet
from tests.chaos.link import Link, to_port
from tests.chaos.servers import MortalPostgres
from tests.chaos.verdict import PUSHING, STOCK_ONLY, check_all, histories
from tests.fixtures.koongo import Consumer
from tests.fixtures.model_world import QUIET, TIME_PASSES, WAITING
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

ENOUGH = 50_000  # units of each product: no order has to wait for stock, and Spartoo takes it
# RabbitMQ 3.10 writes down some seconds late that a quorum queue is there: killed before, it never
# has a leader again. The first blow waits for it.
ON_DISK_SECONDS = 15
QUIET_SECONDS = 180  # a busy machine works off a minute of trade
# What a process may hold more: pools and caches of one that has just started still grow.
MORE = {"files": 12, "threads": 4, "tasks": 12, "MiB": 60}
# Seconds from one customer to the next. Where a minute has sixty kills, little is worked off in it.
_HASTE = {Schedule.MIXED: 0.2, Schedule.SPARING: 0.2, Schedule.KILLS: 0.5}


class Campaign:
    """Everything that takes part, started."""

    def __init__(
        self,
        system: System,
        fleet: Fleet,
        consumer: Consumer,
        clerk: Clerk,
        blows: Blows,
        rng: Random,
    ):
        self.system, self.fleet, self.consumer = system, fleet, consumer
        self.clerk, self.blows, self._rng = clerk, blows, rng
        self._before: dict[int, Mapping[str, Any]] = {}

    async def round(
        self, seconds: float, figures: Figures, schedule: Schedule = Schedule.MIXED
    ) -> None:
        """Trade under blows for so long, let everything settle, and judge."""
        trading = asyncio.create_task(self._trade(_HASTE[schedule]), name="trade")
        working = asyncio.create_task(self._work(), name="clerk")
        try:
            await self.blows.deal(seconds, schedule)
            trading.cancel()
            await self._settle()
            await check_all(self.system, self.consumer, self.clerk, self.fleet)
        finally:
            trading.cancel()
            working.cancel()
            await asyncio.gather(trading, working, return_exceptions=True)
        figures.rounds += 1
        figures.blows, figures.clocks_off = self.blows.counts, self.fleet.clocks_off
        figures.counts = await self._counts()
        await self._compare(figures)

    async def _trade(self, pause: float) -> None:
        """Customers order and think again, the store counts."""
        while True:
            account = self._rng.choice(("auto", "auto", "manual", "manual", STOCK_ONLY))
            kind = self._rng.choice(("fine", "fine", "fine", "too_cheap"))
            for order in self.system.place(account, self._rng.randint(1, 3), kind=kind):  # type: ignore[arg-type]
                if account != STOCK_ONLY:
                    self.clerk.take(order)
            if self._rng.random() < 0.2:
                self.clerk.count_stock(self._rng.choice(sorted(VARIANTS)))
            if self._rng.random() < 0.3:
                self.clerk.amend()
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * pause)

    async def _work(self) -> None:
        while True:
            self.clerk.work()
            await asyncio.sleep(0.05)

    async def _settle(self) -> None:
        """The marketplace behaves, and nothing is left to do."""
        self.system.simulator.faults.clear()
        await self.fleet.ready()
        for _ in range(2):  # calls in hand may still fail
            self._look()
            try:
                await eventually(self._quiet, QUIET_SECONDS)
            except TimeoutError:
                raise AssertionError(f"never quiet: {await self._waiting()}") from None

    def _look(self) -> None:
        since = (datetime.now(UTC).date() - timedelta(days=2)).isoformat()
        for connection in ("auto", "manual", STOCK_ONLY):
            self.clerk.ask("connection.sync", connection=connection, since=since)

    async def _quiet(self) -> bool:
        await asyncio.sleep(0.2)
        if not self.clerk.done:
            return False
        connection = await asyncpg.connect(self.system.dsn)
        try:
            for statement in TIME_PASSES:
                await connection.execute(statement)
            return bool(await connection.fetchval(QUIET))
        finally:
            await connection.close()

    async def _waiting(self) -> list[Any]:
        rows = [dict(row) for question in WAITING for row in await self.system.rows(question)]
        clerk = self.clerk
        unsent = [str(case) for case in clerk.cases.values() if not case.over]
        unanswered = [
            command
            for command_id, command in clerk.commands.items()
            if not (clerk.published[command_id] and clerk.replies[command_id])
        ]
        return [*rows, unsent[:5], unanswered[:5]]

    async def _counts(self) -> dict[str, int]:
        (row,) = await self.system.rows("select count(*) as events from events")
        world, ledger = self.system.simulator.world, self.system.simulator.ledger.after(0)
        calls = [bool(call.faults) for call in ledger]
        counts = (
            len(world.orders),
            self.clerk.amended,
            len(world.returns.by_id),
            len(calls),
            sum(calls),
            row["events"],
            len(self.consumer.first_arrivals()),
            len(self.consumer.messages),
            len(self.clerk.commands),
            sum(self.clerk.published.values()),
        )
        return dict(zip(COUNTS, counts, strict=True))

    async def _compare(self, figures: Figures) -> None:
        """A process that lived through the round holds no more than before."""
        now = await self.fleet.held()
        for pid, after in now.items():
            before = self._before.get(pid)
            if before is not None:
                figures.kept.append(f"round {figures.rounds}: {before} → {after}")
                for what, more in MORE.items():
                    assert after[what] <= before[what] + more, (before, after)
        self._before = now


@asynccontextmanager
async def campaign(
    simulator: Simulator, directory: Path, *, seed: int, daemons: int, nodes: int = 1
) -> AsyncIterator[Campaign]:
    """Servers and daemons of its own, quiet; a failure is told with all that is known of it."""
    async with AsyncExitStack() as stack:
        database = MortalPostgres(directory / "postgres")
        dsn = await database.start()
        stack.push_async_callback(database.stop)
        brokers = await stack.enter_async_context(Brokers(directory / "rabbitmq", nodes))
        marketplace = Link(to_port(simulator.root.port or 0), answers_only=True)
        await stack.enter_async_context(marketplace)
        system = System(simulator, dsn, brokers.url, directory)
        _connect(system, str(simulator.root.with_port(marketplace.port) / "mp"))
        clocks = Random(seed + 3)
        fleet = await stack.enter_async_context(
            Fleet(system, daemons, brokers, marketplace, clocks)
        )
        await fleet.ready()
        if nodes > 1:
            await brokers.check_members()
        await system.fill_catalogue(ENOUGH)
        consumer = await stack.enter_async_context(Consumer(brokers.url))
        clerk = Clerk(brokers.url, consumer, simulator.world, Random(seed + 1))
        await stack.enter_async_context(clerk)
        await clerk.listening.wait()
        await asyncio.sleep(ON_DISK_SECONDS)
        blows = Blows(Random(seed), fleet, database, brokers, simulator)
        try:
            yield Campaign(system, fleet, consumer, clerk, blows, Random(seed + 2))
        except Exception as error:
            history = await histories(system, consumer, clerk, str(error))
            what = f"SEED={seed}, {daemons} daemon(s): {type(error).__name__}: {error}"
            raise AssertionError(f"{what}\n{history}") from error


def _connect(system: System, url: str) -> None:
    usual = {"base_url": url, "open_look_interval": 2, "throttle_backoff": 1}
    system.connect("auto", auto_accept=True, push_stock=True, **usual)
    system.connect("manual", synced_when="acknowledged", **usual)
    system.connect(STOCK_ONLY, sync_level="stock_only", **usual)
    assert PUSHING == ("auto",)


async def run(fight: Campaign, figures: Figures, *, minutes: float) -> None:
    """Rounds of a minute until the time is over; every third leaves the daemons alive."""
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        sparing = figures.rounds % 3 == 2
        schedule = Schedule.SPARING if sparing else Schedule.MIXED
        await fight.round(60, figures, schedule)
        show(figures)


async def run_kills(fight: Campaign, figures: Figures, *, kills: int) -> None:
    """Rounds of a minute, nothing but SIGKILLs in them, until there were so many."""
    while figures.kills < kills:
        await fight.round(60, figures, Schedule.KILLS)
        show(figures)


def show(figures: Figures) -> None:
    """Print what has been judged so far."""
    Console(highlight=False, markup=False).print(str(figures), soft_wrap=True)
