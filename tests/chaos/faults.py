"""The blows: each takes some time, and leaves what it hit whole again."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

from pydantic import TypeAdapter

from adapters.rabbitmq.node import PrivateRabbitMQ
from adapters.spartoo.simulator import Simulator
from adapters.spartoo.simulator.fault_kinds import AnyFault
from tests.chaos.fleet import Fleet
from tests.chaos.link import Link
from tests.chaos.servers import MortalPostgres

_FAULT: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)
_CHANGE = {"service": "xml_maj_orders"}
_MISBEHAVIOURS = (
    {"kind": "latency", "seconds": 0.2, "jitter": 2},
    {"kind": "code", "code": -429},
    {"kind": "http_error", "status": 500},
    {"kind": "http_error", "status": 503, "after_change": True, **_CHANGE},
    {"kind": "html"},
    {"kind": "empty", "after_change": True, **_CHANGE},
    {"kind": "cut_off"},
    {"kind": "cut_off", "drop": True},
    {"kind": "timeout", "seconds": 1, "after_change": True, **_CHANGE},
    {"kind": "timeout", "seconds": 1, **_CHANGE},
    {"kind": "drop", "after_change": True, **_CHANGE},
    {"kind": "drop"},
    {"kind": "drip", "size": 4096, "seconds": 0.05},
)
# All the time: a call in so many is carried out, or not, and never answered.
_ALWAYS = (
    {"kind": "timeout", "seconds": 0.5, "after_change": True, "probability": 0.1, **_CHANGE},
    {"kind": "timeout", "seconds": 0.5, "probability": 0.05, **_CHANGE},
    {"kind": "http_error", "after_change": True, "probability": 0.05, **_CHANGE},
)
_SPELLS = (0.0, 0.5, 2.0, 5.0)  # seconds in which what was hit may work

Blow = Callable[[], Awaitable[None]]
Drawn = tuple[str, object, Blow]  # its name, what it hits, and how


class Blows:
    """Draws blows from a seeded generator and deals them, one at a time on each thing hit."""

    def __init__(
        self,
        rng: Random,
        fleet: Fleet,
        database: MortalPostgres,
        broker: PrivateRabbitMQ,
        simulator: Simulator,
    ):
        self._rng = rng
        self._fleet, self._database, self._broker = fleet, database, broker
        self._simulator = simulator
        self._hit: set[object] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    async def deal(self, seconds: float, *, spare_daemons: bool) -> None:
        """Blow after blow for so long; then wait until the last is over."""
        for fault in _ALWAYS:
            self._simulator.faults.add(_FAULT.validate_python(fault))
        try:
            await self._deal(seconds, spare_daemons=spare_daemons)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deal(self, seconds: float, *, spare_daemons: bool) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            name, target, blow = self._draw()
            spell = self._rng.choice(_SPELLS)
            spared = spare_daemons and name == "daemon killed"
            if target not in self._hit and not spared:
                self._start(name, target, blow, spell)
            await asyncio.sleep(self._rng.uniform(0.1, 0.9))
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _start(self, name: str, target: object, blow: Blow, spell: float) -> None:
        async def dealt() -> None:
            try:
                await blow()
                await asyncio.sleep(spell)
            finally:
                self._hit.discard(target)

        self._hit.add(target)
        self.counts[name] += 1
        task = asyncio.create_task(dealt(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._tasks.discard(task)  # what failed is raised where all are gathered

    def _draw(self) -> Drawn:
        """The same draws for the same seed, whatever is being hit."""
        rng = self._rng
        number = rng.randrange(self._fleet.size)
        pause = rng.choice((0.0, 0.1, 0.5, 1.0, 3.0))
        long = rng.choice((0.3, 1.0, 3.0, 5.0))
        link_name, link = rng.choice(sorted(self._fleet.links(number).items()))
        how = rng.choice(("cut", "dropped", "stalled", "stalled and lost", "slow"))
        choices: dict[Drawn, int] = {
            ("daemon killed", number, lambda: self._fleet.kill(number, pause)): 14,
            ("daemon frozen", number, lambda: self._fleet.freeze(number, 1.5 * long)): 3,
            ("database killed", self._database, lambda: self._kill_database(pause)): 2,
            ("database process killed", self._database, self._kill_one): 2,
            ("database restarted", self._database, lambda: self._restart_database(pause)): 1,
            ("database frozen", self._database, lambda: self._database.freeze(long)): 1,
            ("broker frozen", self._broker, lambda: self._freeze_broker(long)): 1,
            ("broker killed", self._broker, lambda: self._kill_broker(pause)): 1,
            ("broker restarted", self._broker, lambda: self._restart_broker(pause)): 1,
            (f"line to {link_name} {how}", link, lambda: _hinder(link, how, long)): 9,
            self._misbehaviour(): 12,
        }
        return rng.choices(list(choices), list(choices.values()))[0]

    def _misbehaviour(self) -> Drawn:
        drawn = self._rng.choice(_MISBEHAVIOURS)
        fault = _FAULT.validate_python({**drawn, "count": self._rng.randint(1, 4)})

        async def misbehave() -> None:
            self._simulator.faults.add(fault)

        return f"Spartoo: {fault.kind}", fault, misbehave

    async def _kill_database(self, pause: float) -> None:
        await self._database.kill()
        await asyncio.sleep(pause)
        await self._database.revive()

    async def _restart_database(self, pause: float) -> None:
        await self._database.shut_down()
        await asyncio.sleep(pause)
        await self._database.revive()

    async def _kill_one(self) -> None:
        self._database.kill_one()

    async def _kill_broker(self, pause: float) -> None:
        await self._broker.kill()
        await asyncio.sleep(pause)
        await self._broker.start()

    async def _freeze_broker(self, seconds: float) -> None:
        os.killpg(self._broker.group, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.killpg(self._broker.group, signal.SIGCONT)

    async def _restart_broker(self, pause: float) -> None:
        await self._broker.stop()
        await asyncio.sleep(pause)
        await self._broker.start()


async def _hinder(link: Link, how: str, seconds: float) -> None:
    match how:
        case "cut":
            link.cut()
        case "dropped":
            link.drop()
            return
        case "stalled" | "stalled and lost":
            link.stall()
        case "slow":
            link.delay = 0.05 * seconds
    await asyncio.sleep(seconds)
    if how == "stalled and lost":
        link.drop()  # with all that was under way
    link.mend()
