"""Customers who order and change their minds, and the clerk whose commands decide fates."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError

from adapters.ports import BrokerUnavailable
from adapters.rabbitmq.connection import translated
from adapters.rabbitmq.topology import COMMANDS
from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from adapters.spartoo.simulator.people import PEOPLE
from adapters.spartoo.simulator.returns import ReturnStatus, ReturnWishes, SimulatedReturn
from adapters.spartoo.simulator.world import World
from tests.fixtures.koongo import Consumer

REPLIES = "chaos.replies"
TWICE = 0.3  # share of commands that are sent again
_HALF = 0.5
_SUDDENLY = 0.02  # at each look of the clerk
_RECENT = 30  # cases a customer may still think about
PUBLISH_SECONDS = 10

ACCEPT = ("order.accept", "order.pending_manual")
REFUSE = ("order.refuse", "order.pending_manual")
KNOW = ("order.acknowledge", "order.accepted")
SHIP = ("order.ship", "order.synced")
CANCEL = ("order.cancel", "order.synced")
TAKE_BACK = ("return.accept", "return.requested")
REJECT = ("return.refuse", "return.requested")
TAKE_BACK_AFTER_ALL = ("return.accept", "return.refused")
TO_SHIPPED = (Status.IN_PREPARATION, Status.SHIPPED)
TO_CANCELLED = (Status.IN_PREPARATION, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Fate:
    """The commands an order or return gets, each once its event was seen, and what our calls set.

    `hand`: what somebody else sets once the event `after` was seen; at any moment without one, and
    then our calls may come as far as `path`, or not.
    """

    commands: tuple[tuple[str, str], ...]
    path: tuple[int, ...]
    hand: Status | ReturnStatus | None = None
    after: str | None = "order.pending_manual"

    @property
    def paths(self) -> set[tuple[int, ...]]:
        """What our calls may have set."""
        return {self.path} if self.after else {self.path, ()}


CHANGED_MIND = Fate((), (Status.IN_PREPARATION,), Status.CANCELLED, after=None)
BY_HAND = (
    Fate((), ()),
    Fate((REFUSE,), (Status.CANCELLED,)),
    Fate((ACCEPT, KNOW), (Status.IN_PREPARATION,)),
    Fate((ACCEPT, KNOW, SHIP), TO_SHIPPED),
    Fate((ACCEPT, KNOW, SHIP), TO_SHIPPED),
    Fate((ACCEPT, KNOW, CANCEL), TO_CANCELLED),
    Fate((), (), Status.IN_PREPARATION),
    Fate((), (), Status.CANCELLED),
    Fate((), (), Status.CANCELLED, after=None),
)
AUTOMATIC = (
    Fate((), (Status.IN_PREPARATION,)),
    Fate((SHIP,), TO_SHIPPED),
    Fate((SHIP,), TO_SHIPPED),
    Fate((CANCEL,), TO_CANCELLED),
    CHANGED_MIND,
)
TOO_CHEAP = (
    Fate((), ()),
    Fate((REFUSE,), (Status.CANCELLED,)),
    Fate((ACCEPT, SHIP), TO_SHIPPED),
)
SENT_BACK = (
    Fate((), ()),
    Fate((TAKE_BACK,), (ReturnStatus.ACCEPTED,)),
    Fate((REJECT,), (ReturnStatus.REFUSED,)),
    Fate((REJECT, TAKE_BACK_AFTER_ALL), (ReturnStatus.REFUSED, ReturnStatus.ACCEPTED)),
    Fate((TAKE_BACK,), (ReturnStatus.ACCEPTED,), ReturnStatus.PAID, after="return.accepted"),
)


@dataclass(slots=True)
class Case:
    """One order or return, and how far its fate is done."""

    subject: SimulatedOrder | SimulatedReturn
    fate: Fate
    sent: int = 0
    ids: list[str] = field(default_factory=list)
    touched: bool = False
    sent_back: bool = False

    @property
    def over(self) -> bool:
        return self.sent == len(self.fate.commands) and self.touched == bool(self.fate.hand)

    @property
    def initial(self) -> int:
        """What it was before anybody did anything."""
        order = isinstance(self.subject, SimulatedOrder)
        return Status.VERIFIED if order else ReturnStatus.REQUESTED

    @property
    def about(self) -> dict[str, str]:
        """How a command names it."""
        name = "order_id" if isinstance(self.subject, SimulatedOrder) else "return_id"
        return {"connection": self.subject.account, name: self.subject.id}


class Clerk:
    """Sends commands with ids, each until the broker has it, and keeps every reply."""

    def __init__(self, url: str, consumer: Consumer, world: World, rng: Random):
        self._url, self._consumer, self._world, self._rng = url, consumer, world, rng
        self._tasks: list[asyncio.Task[None]] = []
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._read = 0
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self._numbers = 0
        self.listening = asyncio.Event()
        self.cases: dict[str, Case] = {}
        self.amended = 0
        self.commands: dict[str, dict[str, Any]] = {}
        self.published: defaultdict[str, int] = defaultdict(int)
        self.replies: defaultdict[str, list[bytes]] = defaultdict(list)
        self.stock: dict[str, tuple[str, int]] = {}

    async def __aenter__(self) -> Self:
        for work in (self._send_all, self._collect):
            self._tasks.append(asyncio.create_task(self._again(work), name=work.__name__))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def done(self) -> bool:
        """Every command of every fate is with the broker, and has a reply."""
        assert not any(task.done() for task in self._tasks), "the clerk has left"
        return (
            all(case.over for case in self.cases.values())
            and self._outbox.empty()
            and all(self.published[one] and self.replies[one] for one in self.commands)
        )

    def take(self, order: SimulatedOrder) -> None:
        """Decide what shall become of it."""
        fates: tuple[Fate, ...] = BY_HAND if order.account == "manual" else AUTOMATIC
        if order.account != "manual" and order.kind == "too_cheap":
            fates = TOO_CHEAP
        self.cases[order.id] = Case(order, self._rng.choice(fates))

    def amend(self) -> None:
        """A customer thinks again about an order that nobody has accepted: address, or items."""
        recent = [*self.cases.values()][-_RECENT:]
        case = self._rng.choice(recent) if recent else None
        if case is None or not isinstance(order := case.subject, SimulatedOrder):
            return
        if order.status is Status.VERIFIED:
            self.amended += 1
            if order.kind == "fine" and self._rng.random() < _HALF:
                variant = self._rng.choice([*VARIANTS.values()])
                lines = (catalog_line(variant, self._rng.randint(1, 3)),)
                self._world.amend(order, lines=lines)
            else:
                self._world.amend(order, delivery=self._rng.choice(PEOPLE))

    def work(self) -> None:
        """Send what is due after the events that came since."""
        messages = self._consumer.messages
        for message in messages[self._read :]:
            self._seen[message.body["subject"]].add(message.type)
        self._read = len(messages)
        for case in [*self.cases.values()]:
            self._send_back(case)
            if case.over:
                continue
            self._touch(case)
            for command in self._due(case):
                case.ids.append(self.ask(**command))
                case.sent += 1

    def _touch(self, case: Case) -> None:
        """Somebody else acts, if it is time."""
        fate, subject = case.fate, case.subject
        if fate.hand is None or case.touched:
            return
        seen = fate.after in self._seen[subject.id]
        if seen or (fate.after is None and self._rng.random() < _SUDDENLY):
            case.touched = True
            if isinstance(subject, SimulatedOrder):
                self._world.set_status(subject, Status(fate.hand))
            else:
                subject.status = ReturnStatus(fate.hand)

    def _send_back(self, case: Case) -> None:
        """Some of what was shipped comes back."""
        order = case.subject
        if case.sent_back or not isinstance(order, SimulatedOrder):
            return
        if case.over and "order.shipped" in self._seen[order.id]:
            case.sent_back = True
            if self._rng.random() < _HALF:
                returned = self._world.create_return(order, ReturnWishes())
                self.cases[returned.id] = Case(returned, self._rng.choice(SENT_BACK))

    def count_stock(self, product_id: str) -> None:
        """The store's word on a product; numbers never so small that an order has to wait."""
        now = datetime.now(UTC).isoformat()
        units = self._rng.randrange(50_000, 90_000)
        self.stock[product_id] = (now, units)
        self.ask("stock.set", product_id=product_id, stock=units, as_of=now)

    def _due(self, case: Case) -> Iterator[dict[str, Any]]:
        while case.sent < len(case.fate.commands):
            command, after = case.fate.commands[case.sent]
            if after not in self._seen[case.subject.id]:
                return
            if case.ids and not self.replies[case.ids[-1]]:
                return  # a person waits for the answer before the next step
            details = self._details(command, case.subject.id)
            yield {"command_name": command, **case.about, **details}

    def _details(self, command: str, order_id: str) -> dict[str, Any]:
        if command == "order.ship":
            return {"tracking_number": f"T{order_id}", "shipping_service": "Colissimo"}
        return {"store_order_id": f"S-{order_id}"} if command == "order.acknowledge" else {}

    def ask(self, command_name: str, **fields: Any) -> str:
        """Have a command sent, some twice; its id."""
        self._numbers += 1
        command = {"id": f"chaos-{self._numbers}", "by": "clerk", "command": command_name} | fields
        self.commands[command["id"]] = command
        for _ in range(2 if self._rng.random() < TWICE else 1):
            self._outbox.put_nowait(command)
        return str(command["id"])

    async def _again(self, work: Any) -> None:
        while True:
            with (
                contextlib.suppress(BrokerUnavailable, DeliveryError),
                translated("the clerk's connection"),
            ):
                async with await aio_pika.connect(self._url, timeout=5) as connection:
                    await work(connection)
            await asyncio.sleep(0.3)  # the broker is away

    async def _send_all(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(on_return_raises=True)
        while True:
            commands = [await self._outbox.get()]
            while not self._outbox.empty():
                commands.append(self._outbox.get_nowait())
            publishing = (self._publish(channel, command) for command in commands)
            outcomes = await asyncio.gather(*publishing, return_exceptions=True)
            for outcome in outcomes:
                if outcome is not None:
                    raise outcome

    async def _publish(self, channel: AbstractChannel, command: dict[str, Any]) -> None:
        message = aio_pika.Message(
            json.dumps(command).encode(),
            correlation_id=command["id"],
            reply_to=REPLIES,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            exchange = channel.default_exchange
            await exchange.publish(message, routing_key=COMMANDS, timeout=PUBLISH_SECONDS)
        except BaseException:  # unsure whether it arrived: once more, with the same id
            self._outbox.put_nowait(command)
            raise
        self.published[command["id"]] += 1

    async def _collect(self, connection: AbstractConnection) -> None:
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        channel = await connection.channel()
        queue = await channel.declare_queue(
            REPLIES, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.consume(self._keep)
        self.listening.set()
        await lost.wait()

    async def _keep(self, message: AbstractIncomingMessage) -> None:
        self.replies[message.correlation_id or ""].append(message.body)
        with contextlib.suppress(*CONNECTION_EXCEPTIONS):
            await message.ack()
