"""Records every call to a marketplace that concerns one order, for people (`orders show`)."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

import structlog

from adapters.ports import (
    ExportedOrder,
    ExportedReturn,
    Label,
    Marketplace,
    MarketplaceError,
    StockLevel,
)
from adapters.postgres import communications
from adapters.postgres.communications import OrderCall
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError
from adapters.spartoo import CallReport
from daemon.together import Together
from statemachine.model import ActionKind, ConnectionId, Line, OrderId, ReturnId, Shipment

log = structlog.get_logger(__name__)

_LONGEST_SUMMARY = 500
_made: ContextVar[list[CallReport] | None] = ContextVar("calls made", default=None)


def note_call(report: CallReport) -> None:
    """A call was made: if it is one about an order, this is its result."""
    made = _made.get()
    if made is not None:
        made.append(report)


class CallLog:
    """Writes calls as they are made; those of one moment in one statement."""

    def __init__(self, database: Database):
        self._database = database
        self._writing = Together(self._write)

    async def write(self, calls: Sequence[OrderCall]) -> None:
        """Return once they are stored; with the database away they are given up, and logged."""
        try:
            await self._writing.do(None, calls)
        except PostgresError as error:
            log.warning("calls not recorded", calls=len(calls), error=str(error))

    async def _write(self, _: None, batch: Sequence[Sequence[OrderCall]]) -> list[None]:
        async with self._database.connection() as conn:
            await communications.add(conn, [call for calls in batch for call in calls])
        return [None] * len(batch)


@dataclass(frozen=True, slots=True)
class LoggedMarketplace:
    """ports.Marketplace that records what concerns one order."""

    inner: Marketplace
    connection: ConnectionId
    calls: CallLog
    clock: Callable[[], datetime]

    @asynccontextmanager
    async def _about(self, order_id: OrderId, summary: str) -> AsyncIterator[None]:
        """Record the calls made inside; none is where the budget was spent before."""
        at, made = self.clock(), list[CallReport]()
        token = _made.set(made)
        try:
            yield
        except MarketplaceError as error:
            summary = f"{summary}: {error.message}"[:_LONGEST_SUMMARY]
            raise
        finally:
            _made.reset(token)
            of = (self.connection, order_id)
            calls = [OrderCall(*of, call.service, call.code, summary, at) for call in made]
            if calls:
                await self.calls.write(calls)

    @property
    def order_service(self) -> str:
        return self.inner.order_service

    async def fetch_order(self, order_id: OrderId) -> ExportedOrder:
        async with self._about(order_id, "read"):
            return await self.inner.fetch_order(order_id)

    async def change_order(
        self,
        order_id: OrderId,
        kind: ActionKind,
        shipments: Sequence[Shipment] = (),
        lines: Sequence[Line] = (),
    ) -> None:
        async with self._about(order_id, kind):
            await self.inner.change_order(order_id, kind, shipments, lines)

    async def delivery_slip(self, order_id: OrderId, lines: Sequence[Line]) -> bytes:
        async with self._about(order_id, "delivery slip"):
            return await self.inner.delivery_slip(order_id, lines)

    def export_orders(self, since: datetime) -> AsyncGenerator[ExportedOrder]:
        return self.inner.export_orders(since)

    def export_returns(self, since: datetime) -> AsyncGenerator[ExportedReturn]:
        return self.inner.export_returns(since)

    async def fetch_return(self, return_id: ReturnId) -> ExportedReturn:
        return await self.inner.fetch_return(return_id)

    async def change_return(
        self, return_id: ReturnId, kind: ActionKind, label: Label | None = None
    ) -> None:
        await self.inner.change_return(return_id, kind, label)

    async def push_stock(self, levels: Sequence[StockLevel]) -> Sequence[str | None]:
        return await self.inner.push_stock(levels)

    async def test(self) -> None:
        await self.inner.test()
