"""Carries commands out, each once: its id, its effect and its reply are one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from hashlib import sha256
from typing import Any, TypeVar, assert_never
from zoneinfo import ZoneInfo

import orjson

from adapters.postgres import actions, connections, inbox, looks
from adapters.postgres import orders as order_store
from adapters.postgres.connections import Connection
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import UnknownConnection
from adapters.postgres.inbox import Answered
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
    reply_body,
)
from daemon.metrics import Metrics
from daemon.moves import tell_moves
from daemon.plan import Plan, check_plan
from daemon.products import upsert_products
from daemon.return_commands import act_on_return
from daemon.steps import take_steps
from daemon.together import Together
from daemon.transactions import in_transaction
from statemachine.changes import Changes
from statemachine.connection import ConnectionSettings
from statemachine.events import order_document
from statemachine.facts import (
    AcceptOrder,
    AcknowledgeOrder,
    CancelOrder,
    Command,
    LoseOrder,
    Refused,
    RefuseOrder,
    RetryOrder,
    ShipOrder,
    UndeliverOrder,
)
from statemachine.model import (
    ActionStatus,
    CatalogId,
    ConnectionId,
    OrderId,
    ProductId,
    ProductUpdate,
)
from statemachine.return_events import return_document

# those of a moment in one transaction
OnOrder = OrderDecision | OrderCancel | OrderShip | OrderAcknowledge
Alone = (
    OrderFetch | ReturnDecision | ReturnLabel | ConnectionSync | ConnectionSwitch | CatalogUpsert
)
SomeCommand = TypeVar("SomeCommand", OnOrder, StockSet, Alone)
FETCH_PATIENCE = 30.0  # seconds an order.fetch waits for Spartoo before it is answered `queued`
MOST_FETCHES = 16  # wait for Spartoo at once; more are answered queued at once


@dataclass(frozen=True, slots=True)
class Reply:
    """What the asker is told; `body` is kept for the same command coming again."""

    status: str  # done | queued | refused
    body: bytes
    changes: Changes | None = None  # of the order, when this command moved one

    @property
    def error(self) -> str | None:
        """`code: message` of a refusal."""
        error = orjson.loads(self.body).get("error")
        return f"{error['code']}: {error['message']}" if error else None


class CommandDesk:
    """Where commands from the queue, the command line and the API are carried out."""

    def __init__(
        self, database: Database, plan: Plan, metrics: Metrics, clock: Callable[[], datetime]
    ):
        self._database = database
        self._plan = plan
        self._metrics = metrics
        self._clock = clock
        self.fetch_patience = FETCH_PATIENCE  # seconds
        self._fetches = 0  # that wait for Spartoo
        self._on_orders = Together(self._obey, span="obey")
        self._counts = Together(self._count, span="count")

    async def carry_out(self, command: AnyCommand) -> Reply:
        """Do what is asked unless it was done before. Raises DatabaseUnavailable, nothing kept."""
        if isinstance(command, OnOrder):
            reply = await self._on_orders.do(command.connection, command, command.order_id)
        elif isinstance(command, StockSet):
            reply = await self._counts.do(command.catalog, command, command.id)
        else:
            reply = await self._alone(command)
        self._metrics.commands.labels(command.command, reply.status).inc()
        if reply.changes is not None:
            tell_moves(self._metrics, reply.changes.order.connection, [reply.changes])
        return reply

    async def _alone(self, command: Alone) -> Reply:
        async def refuse(_tx: Tx) -> Reply:
            return refusal

        try:
            if isinstance(command, OrderFetch):
                return await self._fetch(command)
            return await self._remember(command, lambda tx: self._do(tx, command))
        except Refused as refused:  # remembered too; whatever was begun was rolled back
            refusal = _refusal(command, refused)
            return await self._remember(command, refuse)

    async def _remember(self, command: Alone, do: Callable[[Tx], Awaitable[Reply]]) -> Reply:
        async def do_one(tx: Tx, _: Sequence[Alone]) -> list[Reply]:
            return [await do(tx)]

        (reply,) = await self._remember_all([command], do_one)
        return reply

    async def _remember_all(
        self,
        commands: Sequence[SomeCommand],
        do: Callable[[Tx, Sequence[SomeCommand]], Awaitable[Sequence[Reply]]],
    ) -> list[Reply]:
        """Do them and keep the replies, in one transaction; or give the reply kept before."""

        async def once(tx: Tx) -> list[Reply]:
            known = await inbox.seen(tx, [command.id for command in commands])
            new = [command for command in commands if command.id not in known]
            done = list(zip(new, await do(tx, new), strict=True)) if new else []
            if done:
                await inbox.keep(tx, [_answered(*pair) for pair in done])
            replies = {command.id: reply for command, reply in done}
            return [
                _remembered(command, known[command.id])
                if command.id in known
                else replies[command.id]
                for command in commands
            ]

        return await in_transaction(self._database, once)

    async def _do(self, tx: Tx, command: Alone) -> Reply:
        match command:
            case ReturnDecision() | ReturnLabel():
                return await self._on_return(tx, command)
            case ConnectionSync():
                return await self._sync(tx, command)
            case ConnectionSwitch():
                return await self._switch(tx, command)
            case CatalogUpsert():
                catalog = CatalogId(command.catalog)
                await upsert_products(tx, catalog, command.products, self._clock())
                return _done(command)
            case OrderFetch():
                raise AssertionError("order.fetch waits outside a transaction")
            case _:
                assert_never(command)

    async def _obey(self, connection_id: str, commands: Sequence[OnOrder]) -> list[Reply]:
        """Commands on different orders of one connection, in one transaction."""

        async def obey(tx: Tx, new: Sequence[OnOrder]) -> list[Reply]:
            try:
                connection = await _connection(tx, connection_id)
            except Refused as refused:
                return [_refusal(command, refused) for command in new]
            facts = {OrderId(command.order_id): _as_fact(command) for command in new}
            stepped = await take_steps(tx, connection.settings, facts, self._clock())
            changed = {changes.order.id: changes for changes in stepped.changes}
            return [
                _moved(command, changed[order_id], connection.settings)
                if order_id in changed
                else _refusal(command, stepped.refused[order_id])
                for order_id, command in zip(facts, new, strict=True)
            ]

        return await self._remember_all(commands, obey)

    async def _on_return(self, tx: Tx, command: ReturnDecision | ReturnLabel) -> Reply:
        connection = await _connection(tx, command.connection)
        changes = await act_on_return(tx, connection.settings, command, self._clock())
        document = return_document(changes.returned)
        body = reply_body(command.id, changes.answer, returned=document)
        return Reply(changes.answer, body)

    async def _sync(self, tx: Tx, command: ConnectionSync) -> Reply:
        connection = await _connection(tx, command.connection)
        _must_be_active(connection)
        since = None
        if command.since is not None:
            since = datetime.combine(command.since, time(), ZoneInfo(connection.settings.timezone))
        await looks.request(tx, ConnectionId(command.connection), since)
        return Reply("queued", reply_body(command.id, "queued"))

    async def _switch(self, tx: Tx, command: ConnectionSwitch) -> Reply:
        connection = await _connection(tx, command.connection)
        active = command.command == "connection.activate"
        await switch(tx, connection, self._plan, self._clock(), active=active)
        return _done(command)

    async def _count(self, catalog: str, commands: Sequence[StockSet]) -> list[Reply]:
        """Numbers of one catalogue, in their order, in one transaction: it may wait for orders."""

        async def count(tx: Tx, new: Sequence[StockSet]) -> list[Reply]:
            await upsert_products(tx, CatalogId(catalog), [*map(_as_update, new)], self._clock())
            return [_done(command) for command in new]

        return await self._remember_all(commands, count)

    async def _fetch(self, command: OrderFetch) -> Reply:
        """Ask for the order and wait for Spartoo's answer; the request itself is stored."""
        connection_id, order_id = ConnectionId(command.connection), OrderId(command.order_id)
        async with self._database.transaction() as tx:
            known = await inbox.seen(tx, [command.id])
            if known:
                return _remembered(command, known[command.id])
            connection = await _connection(tx, connection_id)
            _must_be_active(connection)
            await actions.request_fetch(tx, connection_id, order_id, command.by)
        status = await self._settled(connection_id, order_id)

        async def answer(tx: Tx) -> Reply:
            found = await order_store.find(tx, order_id, connection_id)
            document = order_document(found[0], connection.settings) if found else None
            return Reply(status, reply_body(command.id, status, order=document))

        return await self._remember(command, answer)

    async def _settled(self, connection: ConnectionId, order_id: OrderId) -> str:
        """Wait for the fetch: done, or queued when it takes too long. Raises Refused."""
        patience = self.fetch_patience if self._fetches < MOST_FETCHES else 0.0
        self._fetches += 1
        try:
            return await self._settled_within(patience, connection, order_id)
        finally:
            self._fetches -= 1

    async def _settled_within(
        self, patience: float, connection: ConnectionId, order_id: OrderId
    ) -> str:
        deadline = asyncio.get_running_loop().time() + patience
        while asyncio.get_running_loop().time() < deadline:
            async with self._database.connection() as conn:
                outcome = await actions.fetch_outcome(conn, connection, order_id)
            if outcome.status is ActionStatus.DONE:
                return "done"
            if outcome.status is ActionStatus.FAILED:
                raise Refused("unknown_order", outcome.message)
            await self._database.wakeups.wait("actions", 0.25)
        return "queued"


async def _connection(tx: Tx, connection_id: str) -> Connection:
    try:
        return await connections.get(tx, ConnectionId(connection_id))
    except UnknownConnection as error:
        raise Refused("unknown_connection", str(error)) from error


def _must_be_active(connection: Connection) -> None:
    settings = connection.settings
    if not settings.active:
        raise Refused(
            "connection_disabled", f"connection {settings.id} is disabled; activate it first"
        )


def _as_fact(command: OnOrder) -> Command:
    if isinstance(command, OrderAcknowledge):
        return AcknowledgeOrder(command.by, command.store_order_id)
    if isinstance(command, OrderShip):
        return ShipOrder(command.by, command.as_parcels(), command.complete)
    if isinstance(command, OrderCancel):
        return CancelOrder(command.by, command.reason, command.force)
    match command.command:
        case "order.accept":
            return AcceptOrder(command.by, command.reason)
        case "order.refuse":
            return RefuseOrder(command.by, command.reason)
        case "order.lost":
            return LoseOrder(command.by, command.reason)
        case "order.undelivered":
            return UndeliverOrder(command.by, command.reason)
        case "order.retry":
            return RetryOrder(command.by)
        case _:
            assert_never(command.command)


async def switch(
    tx: Tx, connection: Connection, plan: Plan, now: datetime, *, active: bool
) -> None:
    """Activate (which also ends a suspension) or disable a connection. Raises Refused."""
    connection_id = ConnectionId(connection.settings.id)
    if active and not connection.settings.active:
        await check_plan(tx, plan)
    await connections.set_active(tx, connection_id, active=active)
    if active:
        await connections.resume(tx, connection_id, "by_command", "activated", now)
    elif connection.settings.active:
        await connections.disabled(tx, connection_id, now)


def _moved(command: OnOrder, changes: Changes, settings: ConnectionSettings) -> Reply:
    document = order_document(changes.order, settings)
    body = reply_body(command.id, changes.answer, order=document, note=changes.note)
    return Reply(changes.answer, body, changes)


def _as_update(command: StockSet) -> ProductUpdate:
    return ProductUpdate(ProductId(command.product_id), stock=command.stock, as_of=command.as_of)


def _done(command: Alone | StockSet) -> Reply:
    return Reply("done", reply_body(command.id, "done"))


def _refusal(command: AnyCommand, refused: Refused) -> Reply:
    return Reply("refused", reply_body(command.id, "refused", error=refused))


def _answered(command: AnyCommand, reply: Reply) -> tuple[str, str, bytes, bytes]:
    """What the inbox keeps."""
    return command.id, command.command, orjson.dumps(_document(command)), reply.body


def _document(command: AnyCommand) -> dict[str, Any]:
    """The command as it is told from another of its id: digests stand for what is large."""
    document: dict[str, Any] = orjson.loads(command.model_dump_json())
    if isinstance(command, CatalogUpsert):
        document["products"] = sha256(orjson.dumps(document["products"])).hexdigest()
    if isinstance(command, ReturnDecision | ReturnLabel) and command.label_file is not None:
        document["label_file"] = sha256(command.label_file.encode()).hexdigest()
    return document


def _remembered(command: AnyCommand, known: Answered) -> Reply:
    """The reply given before; another command's would be believed, so it is refused instead."""
    kept, asked = orjson.loads(known.body), _document(command)
    if any(asked.get(name, value) != value for name, value in kept.items() if name != "by"):
        why = f"id: {command.id} was another command's; give each command an id of its own"
        return _refusal(command, Refused("id_taken", why))
    return Reply(orjson.loads(known.reply)["status"], known.reply)
