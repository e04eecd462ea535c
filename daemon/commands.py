"""Carries commands out, each once: its id, its effect and its reply are one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import assert_never
from zoneinfo import ZoneInfo

import orjson

from adapters.postgres import actions, connections, inbox, looks
from adapters.postgres import orders as order_store
from adapters.postgres.connections import Connection
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import UnknownConnection
from daemon.command_messages import (
    AnyCommand,
    CatalogUpsert,
    ConnectionSwitch,
    ConnectionSync,
    OrderAcknowledge,
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
from daemon.steps import take_step
from daemon.transactions import in_transaction
from statemachine.changes import Changes
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

FETCH_PATIENCE = 30.0  # seconds an order.fetch waits for Spartoo before it is answered `queued`


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

    async def carry_out(self, command: AnyCommand) -> Reply:
        """Do what is asked unless it was done before. Raises DatabaseUnavailable, nothing kept."""
        try:
            reply = await self._once(command)
        except Refused as refused:
            reply = await self._refuse(command, refused)
        self._metrics.commands.labels(command.command, reply.status).inc()
        if reply.changes is not None:
            tell_moves(self._metrics, reply.changes.order.connection, [reply.changes])
        return reply

    async def _once(self, command: AnyCommand) -> Reply:
        if isinstance(command, OrderFetch):
            return await self._fetch(command)

        async def do(tx: Tx) -> Reply:
            return await self._do(tx, command)

        return await self._remembering(command, do)

    async def _remembering(
        self, command: AnyCommand, do: Callable[[Tx], Awaitable[Reply]]
    ) -> Reply:
        """Do it and keep the reply, in one transaction; or give the reply kept before."""

        async def once(tx: Tx) -> Reply:
            known = await inbox.seen(tx, command.id)
            if known is not None:
                return _remembered(known)
            reply = await do(tx)
            await _remember(tx, command, reply)
            return reply

        return await in_transaction(self._database, once)

    async def _refuse(self, command: AnyCommand, refused: Refused) -> Reply:
        """A refusal is remembered too; whatever the command began was rolled back."""
        body = reply_body(command.id, "refused", error=refused)

        async def refuse(_: Tx) -> Reply:
            return Reply("refused", body)

        return await self._remembering(command, refuse)

    async def _do(self, tx: Tx, command: AnyCommand) -> Reply:
        match command:
            case OrderDecision() | OrderShip() | OrderAcknowledge():
                return await self._on_order(tx, command)
            case ReturnDecision() | ReturnLabel():
                return await self._on_return(tx, command)
            case ConnectionSync():
                return await self._sync(tx, command)
            case ConnectionSwitch():
                return await self._switch(tx, command)
            case CatalogUpsert():
                return await self._stock(tx, command.id, command.catalog, command.products)
            case StockSet():
                update = ProductUpdate(
                    ProductId(command.product_id), stock=command.stock, as_of=command.as_of
                )
                return await self._stock(tx, command.id, command.catalog, [update])
            case OrderFetch():
                raise AssertionError("order.fetch waits outside a transaction")
            case _:
                assert_never(command)

    async def _on_order(
        self, tx: Tx, command: OrderDecision | OrderShip | OrderAcknowledge
    ) -> Reply:
        connection = await _connection(tx, command.connection)
        order_id = OrderId(command.order_id)
        fact = _as_fact(command)
        changes = await take_step(tx, connection.settings, order_id, fact, self._clock())
        document = order_document(changes.order, connection.settings)
        body = reply_body(command.id, changes.answer, order=document, note=changes.note)
        return Reply(changes.answer, body, changes)

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
        return Reply("done", reply_body(command.id, "done"))

    async def _stock(
        self, tx: Tx, command_id: str, catalog: str, updates: Sequence[ProductUpdate]
    ) -> Reply:
        await upsert_products(tx, CatalogId(catalog), updates, self._clock())
        return Reply("done", reply_body(command_id, "done"))

    async def _fetch(self, command: OrderFetch) -> Reply:
        """Ask for the order and wait for Spartoo's answer; the request itself is stored."""
        connection_id, order_id = ConnectionId(command.connection), OrderId(command.order_id)
        async with self._database.transaction() as tx:
            known = await inbox.seen(tx, command.id)
            if known is not None:
                return _remembered(known)
            connection = await _connection(tx, connection_id)
            _must_be_active(connection)
            await actions.request_fetch(tx, connection_id, order_id, command.by)
        status = await self._settled(connection_id, order_id)

        async def answer(tx: Tx) -> Reply:
            found = await order_store.find(tx, order_id, connection_id)
            document = order_document(found[0], connection.settings) if found else None
            return Reply(status, reply_body(command.id, status, order=document))

        return await self._remembering(command, answer)

    async def _settled(self, connection: ConnectionId, order_id: OrderId) -> str:
        """Wait for the fetch: done, or queued when it takes too long. Raises Refused."""
        deadline = asyncio.get_running_loop().time() + FETCH_PATIENCE
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


def _as_fact(command: OrderDecision | OrderShip | OrderAcknowledge) -> Command:
    if isinstance(command, OrderAcknowledge):
        return AcknowledgeOrder(command.by, command.store_order_id)
    if isinstance(command, OrderShip):
        return ShipOrder(command.by, command.as_parcels())
    match command.command:
        case "order.accept":
            return AcceptOrder(command.by, command.reason)
        case "order.refuse":
            return RefuseOrder(command.by, command.reason)
        case "order.cancel":
            return CancelOrder(command.by, command.reason)
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


async def _remember(tx: Tx, command: AnyCommand, reply: Reply) -> None:
    body = command.model_dump_json().encode()
    await inbox.keep(tx, command.id, command.command, body, reply.body)


def _remembered(body: bytes) -> Reply:
    return Reply(orjson.loads(body)["status"], body)
