"""A campaign: rounds of trade under blows, each followed by quiet and a verdict."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from rich.console import Console

from adapters.rabbitmq.node import PrivateRabbitMQ
from adapters.spartoo.simulator import Simulator
from adapters.spartoo.simulator.catalog import VARIANTS
from tests.chaos.clerk import Clerk
from tests.chaos.faults import Blows
from tests.chaos.fleet import Fleet
from tests.chaos.link import Link, to_port
from tests.chaos.servers import MortalPostgres, resources
from tests.chaos.verdict import PUSHING, STOCK_ONLY, check_all, histories
from tests.fixtures.koongo import Consumer
from tests.fixtures.model_world import QUIET, TIME_PASSES, WAITING
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

ENOUGH = 50_000  # units of each product: no order has to wait for stock, and Spartoo takes it
QUIET_SECONDS = 240  # a busy machine works off a minute of trade
FILES_MORE = 12  # a pool and the caches of a process that has just started may still grow
MIB_MORE = 60


@dataclass
class Figures:
    """What a campaign did and saw."""

    seed: int
    daemons: int
    blows: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    resources: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.blows.items() if "killed" in name)

    def __str__(self) -> str:
        blows = "\n".join(f"  {count:5} {name}" for name, count in sorted(self.blows.items()))
        counts = "\n".join(f"  {count:5} {name}" for name, count in self.counts.items())
        kept = "\n".join(f"  {line}" for line in self.resources)
        return (
            f"SEED={self.seed}, {self.daemons} daemon(s), {self.rounds} rounds, {self.kills} kills"
            f" of {self.blows.total()} blows\n{blows}\n{counts}\n{kept}"
        )


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
        self._before: dict[int, dict[str, Any]] = {}

    async def round(self, seconds: float, figures: Figures, *, spare_daemons: bool = False) -> None:
        """Trade under blows for so long, let everything settle, and judge."""
        trading = asyncio.create_task(self._trade(), name="trade")
        working = asyncio.create_task(self._work(), name="clerk")
        try:
            await self.blows.deal(seconds, spare_daemons=spare_daemons)
            trading.cancel()
            await self._settle()
            await check_all(self.system, self.consumer, self.clerk)
        finally:
            trading.cancel()
            working.cancel()
            await asyncio.gather(trading, working, return_exceptions=True)
        figures.rounds += 1
        figures.blows = self.blows.counts
        figures.counts = await self._counts()
        self._compare_resources(figures)

    async def _trade(self) -> None:
        """Customers order, the store counts."""
        while True:
            account = self._rng.choice(("auto", "auto", "manual", "manual", STOCK_ONLY))
            kind = self._rng.choice(("fine", "fine", "fine", "too_cheap"))
            for order in self.system.place(account, self._rng.randint(1, 3), kind=kind):  # type: ignore[arg-type]
                if account != STOCK_ONLY:
                    self.clerk.take(order)
            if self._rng.random() < 0.2:
                self.clerk.count_stock(self._rng.choice(sorted(VARIANTS)))
            await asyncio.sleep(self._rng.uniform(0.05, 0.4))

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
        (row,) = await self.system.rows(
            "select (select count(*) from orders) as orders,"
            " (select count(*) from events) as events,"
            " (select count(*) from pg_stat_activity where application_name <> '') as sessions"
        )
        ledger = list(self.system.simulator.ledger.after(0))
        replies = self.clerk.replies.values()
        return {
            "orders placed": len(self.system.simulator.world.orders),
            "orders stored": row["orders"],
            "calls to Spartoo": len(ledger),
            "calls answered badly on purpose": sum(bool(call.faults) for call in ledger),
            "events logged": row["events"],
            "events at the consumer": len(self.consumer.first_arrivals()),
            "messages at the consumer": len(self.consumer.messages),
            "commands": len(self.clerk.commands),
            "command messages confirmed": sum(self.clerk.published.values()),
            "commands answered": sum(bool(r) for r in replies),
            "database sessions of daemons when quiet": row["sessions"],
        }

    def _compare_resources(self, figures: Figures) -> None:
        """A process that lived through the round holds no more than before."""
        now = {d.process.pid: dict(resources(d)) for d in self.fleet.daemons}
        for pid, after in now.items():
            before = self._before.get(pid)
            if before is not None:
                figures.resources.append(f"round {figures.rounds}: {before} → {after}")
                assert after["files"] <= before["files"] + FILES_MORE, (before, after)
                assert after["MiB"] <= before["MiB"] + MIB_MORE, (before, after)
        self._before = now


@asynccontextmanager
async def campaign(
    simulator: Simulator, directory: Path, *, seed: int, daemons: int
) -> AsyncIterator[Campaign]:
    """Servers and daemons of its own, quiet; a failure is told with all that is known of it."""
    async with AsyncExitStack() as stack:
        database = MortalPostgres(directory / "postgres")
        dsn = await database.start()
        stack.push_async_callback(database.stop)
        broker = await stack.enter_async_context(PrivateRabbitMQ(directory / "rabbitmq"))
        marketplace = Link(to_port(simulator.root.port or 0), answers_only=True)
        await stack.enter_async_context(marketplace)
        system = System(simulator, dsn, broker.url(), directory)
        _connect(system, str(simulator.root.with_port(marketplace.port) / "mp"))
        fleet = await stack.enter_async_context(Fleet(system, daemons, marketplace))
        await fleet.ready()
        await system.fill_catalogue(ENOUGH)
        consumer = await stack.enter_async_context(Consumer(broker.url()))
        clerk = Clerk(broker.url(), consumer, simulator.world, Random(seed + 1))
        await stack.enter_async_context(clerk)
        blows = Blows(Random(seed), fleet, database, broker, simulator)
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


async def run(
    simulator: Simulator, directory: Path, *, seed: int, daemons: int, minutes: float
) -> Figures:
    """Rounds of a minute until the time is over; every third leaves the daemons alive."""
    figures = Figures(seed, daemons)
    until = time.monotonic() + 60 * minutes
    async with campaign(simulator, directory, seed=seed, daemons=daemons) as fight:
        while time.monotonic() < until:
            await fight.round(60, figures, spare_daemons=figures.rounds % 3 == 2)
            Console(highlight=False, markup=False).print(str(figures), soft_wrap=True)
    return figures
