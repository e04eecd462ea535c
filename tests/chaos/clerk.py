"""Customers who order, and the clerk whose commands decide every order's fate."""

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
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from adapters.rabbitmq.topology import COMMANDS
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from adapters.spartoo.simulator.world import World
from tests.fixtures.koongo import Consumer

REPLIES = "chaos.replies"
TWICE = 0.3  # share of commands that are sent again
PUBLISH_SECONDS = 10

ACCEPT = ("order.accept", "order.pending_manual")
REFUSE = ("order.refuse", "order.pending_manual")
KNOW = ("order.acknowledge", "order.accepted")
SHIP = ("order.ship", "order.synced")
CANCEL = ("order.cancel", "order.synced")
TO_SHIPPED = (Status.IN_PREPARATION, Status.SHIPPED)
TO_CANCELLED = (Status.IN_PREPARATION, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Fate:
    """The commands an order gets, each once its event was seen, and the path our calls lead it.

    `hand`: what somebody sets in the back office once the order waits for a decision.
    """

    commands: tuple[tuple[str, str], ...]
    path: tuple[Status, ...]
    hand: Status | None = None

    @property
    def end(self) -> Status:
        """Where it stays on Spartoo."""
        return self.hand or (self.path or (Status.VERIFIED,))[-1]


BY_HAND = (
    Fate((), ()),
    Fate((REFUSE,), (Status.CANCELLED,)),
    Fate((ACCEPT, KNOW), (Status.IN_PREPARATION,)),
    Fate((ACCEPT, KNOW, SHIP), TO_SHIPPED),
    Fate((ACCEPT, KNOW, CANCEL), TO_CANCELLED),
    Fate((), (), Status.IN_PREPARATION),
    Fate((), (), Status.CANCELLED),
)
AUTOMATIC = (
    Fate((), (Status.IN_PREPARATION,)),
    Fate((SHIP,), TO_SHIPPED),
    Fate((CANCEL,), TO_CANCELLED),
)
TOO_CHEAP = (
    Fate((), ()),
    Fate((REFUSE,), (Status.CANCELLED,)),
    Fate((ACCEPT, SHIP), TO_SHIPPED),
)


@dataclass(slots=True)
class Case:
    """One order and how far its fate is done."""

    order: SimulatedOrder
    fate: Fate
    sent: int = 0
    ids: list[str] = field(default_factory=list)
    touched: bool = False

    @property
    def over(self) -> bool:
        return self.sent == len(self.fate.commands) and self.touched == bool(self.fate.hand)


class Clerk:
    """Sends commands with ids, each until the broker has it, and keeps every reply."""

    def __init__(self, url: str, consumer: Consumer, world: World, rng: Random):
        self._url, self._consumer, self._world, self._rng = url, consumer, world, rng
        self._tasks: list[asyncio.Task[None]] = []
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._read = 0
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self._numbers = 0
        self.cases: dict[str, Case] = {}
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
        return (
            all(case.over for case in self.cases.values())
            and self._outbox.empty()
            and all(self.published[one] and self.replies[one] for one in self.commands)
        )

    def take(self, order: SimulatedOrder) -> None:
        """Decide what shall become of it."""
        fates = BY_HAND if order.account == "manual" else AUTOMATIC
        if order.account != "manual" and order.kind == "too_cheap":
            fates = TOO_CHEAP
        self.cases[order.id] = Case(order, self._rng.choice(fates))

    def work(self) -> None:
        """Send what is due after the events that came since."""
        messages = self._consumer.messages
        for message in messages[self._read :]:
            self._seen[message.body["subject"]].add(message.type)
        self._read = len(messages)
        for case in self.cases.values():
            if case.over:
                continue
            if case.fate.hand and "order.pending_manual" in self._seen[case.order.id]:
                self._world.set_status(case.order, case.fate.hand)
                case.touched = True
            for command in self._due(case):
                case.ids.append(self.ask(**command))
                case.sent += 1

    def count_stock(self, product_id: str) -> None:
        """The store's word on a product; numbers never so small that an order has to wait."""
        now = datetime.now(UTC).isoformat()
        units = self._rng.randrange(50_000, 90_000)
        self.stock[product_id] = (now, units)
        self.ask("stock.set", product_id=product_id, stock=units, as_of=now)

    def _due(self, case: Case) -> Iterator[dict[str, Any]]:
        while case.sent < len(case.fate.commands):
            command, after = case.fate.commands[case.sent]
            if after not in self._seen[case.order.id]:
                return
            if case.ids and not self.replies[case.ids[-1]]:
                return  # a person waits for the answer before the next step
            about = {"connection": case.order.account, "order_id": case.order.id}
            yield {"command_name": command} | about | self._details(command, case.order.id)

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
            with contextlib.suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
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
        queue = await channel.declare_queue(REPLIES, durable=True)
        await queue.consume(self._keep)
        await lost.wait()

    async def _keep(self, message: AbstractIncomingMessage) -> None:
        self.replies[message.correlation_id or ""].append(message.body)
        with contextlib.suppress(*CONNECTION_EXCEPTIONS):
            await message.ack()
