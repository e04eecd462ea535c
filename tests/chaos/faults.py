"""The blows: each takes some time, and leaves what it hit whole again."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from random import Random

from pydantic import TypeAdapter

from adapters.rabbitmq.node import PrivateRabbitMQ
from adapters.rabbitmq.topology import EVENTS
from adapters.spartoo.simulator import Simulator
from adapters.spartoo.simulator.fault_kinds import AnyFault
from tests.chaos.cluster import Brokers
from tests.chaos.fleet import Fleet
from tests.chaos.link import Link, Way
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
_HOWS = ("cut", "dropped", "stalled", "stalled and lost", "slow", "deaf", "dumb")
_AT_WORK_SECONDS = 6
_PUBLISHING_SECONDS = 5  # within which something is surely published

Blow = Callable[[], Awaitable[None]]
Drawn = tuple[str, object, Blow]  # its name, what it hits, and how
Weighed = dict[Drawn, int]


class Schedule(Enum):
    """Which blows are drawn, and how close they come."""

    MIXED = "everything"
    SPARING = "no daemon is killed"
    KILLS = "SIGKILL only"


_MOST_PAUSE = {Schedule.MIXED: 0.9, Schedule.SPARING: 0.9, Schedule.KILLS: 0.5}  # seconds


class Blows:
    """Draws blows from a seeded generator and deals them, one at a time on each thing hit."""

    def __init__(
        self,
        rng: Random,
        fleet: Fleet,
        database: MortalPostgres,
        brokers: Brokers,
        simulator: Simulator,
    ):
        self._rng = rng
        self._fleet, self._database, self._brokers = fleet, database, brokers
        self._simulator = simulator
        self._hit: set[object] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    async def deal(self, seconds: float, schedule: Schedule) -> None:
        """Blow after blow for so long; then wait until the last is over."""
        for fault in _ALWAYS:
            self._simulator.faults.add(_FAULT.validate_python(fault))
        try:
            await self._deal(seconds, schedule)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deal(self, seconds: float, schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        draw = self._draw_kill if schedule is Schedule.KILLS else self._draw
        if schedule is not Schedule.KILLS:
            await self._lose_first()
        while loop.time() < until:
            name, target, blow, spell = draw()
            spared = schedule is Schedule.SPARING and name == "daemon killed"
            if target not in self._hit and not spared:
                self._start(name, target, blow, spell)
            await asyncio.sleep(self._rng.uniform(0.1, _MOST_PAUSE[schedule]))
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _lose_first(self) -> None:
        """Events under way are lost, and nothing else goes wrong while the relay learns of it."""
        self.counts["all events lost"] += 1
        await self._lose(self._fleet.to_broker, "there", 0.3)
        await asyncio.sleep(0.5)

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

    def _draw_kill(self) -> tuple[str, object, Blow, float]:
        """SIGKILLs, each soon after what it hits has come back, or while it comes."""
        rng = self._rng
        number = rng.randrange(self._fleet.size)
        pause, patience = rng.choice((0.0, 0.0, 0.3)), rng.choice((0.5, 2.0, 6.0))
        database, broker = self._database, rng.choice(self._brokers.nodes)
        choices: Weighed = {
            ("daemon killed", number, lambda: self._fleet.kill(number, pause, patience)): 20,
            ("database process killed", database, self._kill_one): 6,
            ("database killed", database, lambda: self._kill_database(pause)): 4,
            (self._broker("killed"), self._brokers, lambda: self._kill_broker(broker, pause)): 2,
        }
        spell = rng.choice((0.0, 0.5, 1.0, 2.0))
        return *_drawn(rng, choices), spell

    def _draw(self) -> tuple[str, object, Blow, float]:
        """The same draws for the same seed, whatever is being hit."""
        rng = self._rng
        spell = rng.choice(_SPELLS)
        number = rng.randrange(self._fleet.size)
        pause = rng.choice((0.0, 0.1, 0.5, 1.0, 3.0))
        long = rng.choice((0.3, 1.0, 3.0, 5.0))
        name, link = rng.choice(sorted(self._fleet.links(number).items()))
        how = rng.choice(_HOWS if name != "Spartoo" else _HOWS[:5])
        node = rng.choice(self._brokers.nodes)
        fleet, database, brokers = self._fleet, self._database, self._brokers
        patience = _AT_WORK_SECONDS
        choices: Weighed = {
            ("daemon killed", number, lambda: fleet.kill(number, pause, patience)): 14,
            ("daemon frozen", number, lambda: fleet.freeze(number, 1.5 * long)): 3,
            ("database killed", database, lambda: self._kill_database(pause)): 2,
            ("database process killed", database, self._kill_one): 2,
            ("database restarted", database, lambda: self._restart_database(pause)): 1,
            ("database frozen", database, lambda: database.freeze(long)): 1,
            (self._broker("frozen"), brokers, lambda: brokers.freeze(node, long)): 1,
            (self._broker("killed"), brokers, lambda: self._kill_broker(node, pause)): 1,
            (self._broker("restarted"), brokers, lambda: self._restart_broker(node, pause)): 1,
            (f"line to {name} {how}", link, lambda: _hinder([link], how, long)): 9,
            self._misbehaviour(): 12,
        }
        at_the_relay = self._at_the_relay()
        choices[at_the_relay[:3]] = 4
        return *_drawn(rng, choices), spell

    def _at_the_relay(self) -> tuple[str, object, Blow, float]:
        """What must hurt a relay that does not mind its confirms."""
        rng, links = self._rng, self._fleet.to_broker
        long, node = rng.choice((0.1, 0.5)), rng.choice(self._brokers.nodes)
        way: Way = rng.choice(("there", "back"))
        what = {"there": "events", "back": "confirms"}[way]
        killed = f"{self._broker('killed')} while events are sent"
        return rng.choice(
            (
                (f"all {what} lost", self, lambda: self._lose(links, way, long), 0.0),
                (killed, self._brokers, lambda: self._kill_when_sent(links, node), 2.0),
            )
        )

    def _broker(self, how: str) -> str:
        return f"broker {how}" if len(self._brokers.nodes) == 1 else f"broker node {how}"

    def _misbehaviour(self) -> Drawn:
        drawn = self._rng.choice(_MISBEHAVIOURS)
        fault = _FAULT.validate_python({**drawn, "count": self._rng.randint(1, 4)})

        async def misbehave() -> None:
            self._simulator.faults.add(fault)

        return f"Spartoo: {fault.kind}", fault, misbehave

    async def _lose(self, links: Iterable[Link], way: Way, seconds: float) -> None:
        """Nothing arrives that way until events have been on it; then the lines break."""
        for link in links:
            link.swallow(way)
        try:
            await _sending(links)
            await asyncio.sleep(seconds)
        finally:
            for link in links:
                link.drop()
                link.mend()

    async def _kill_when_sent(self, links: Iterable[Link], node: PrivateRabbitMQ) -> None:
        await _sending(links)
        await self._kill_broker(node, 0.0)

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

    async def _kill_broker(self, node: PrivateRabbitMQ, pause: float) -> None:
        await node.kill()
        await asyncio.sleep(pause)
        await node.start()

    async def _restart_broker(self, node: PrivateRabbitMQ, pause: float) -> None:
        await node.stop()
        await asyncio.sleep(pause)
        await node.start()


def _drawn(rng: Random, choices: Weighed) -> Drawn:
    return rng.choices(list(choices), list(choices.values()))[0]


async def _sending(links: Iterable[Link]) -> None:
    """Until an event is on its way, if one is soon."""
    waiting = [asyncio.create_task(link.sent(EVENTS.encode())) for link in links]
    try:
        await asyncio.wait(
            waiting, timeout=_PUBLISHING_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for task in waiting:
            task.cancel()


async def _hinder(links: Iterable[Link], how: str, seconds: float) -> None:
    for link in links:
        _begin(link, how, seconds)
    if how == "dropped":
        return
    await asyncio.sleep(seconds)
    for link in links:
        if how in {"stalled and lost", "deaf", "dumb"}:
            link.drop()  # with all that was under way
        link.mend()


def _begin(link: Link, how: str, seconds: float) -> None:
    match how:
        case "cut":
            link.cut()
        case "dropped":
            link.drop()
        case "stalled" | "stalled and lost":
            link.stall()
        case "slow":
            link.delay = 0.05 * seconds
        case "deaf":  # what the daemon is told is lost
            link.swallow("back")
        case "dumb":  # what the daemon says is lost
            link.swallow("there")
