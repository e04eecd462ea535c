"""Orders on their way from an export into the store."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import ClassVar

from adapters.postgres import communications
from adapters.postgres import orders as order_store
from adapters.postgres.communications import OrderCall
from adapters.postgres.database import Conn, Tx
from adapters.postgres.events import append
from daemon.intake import Batch, Intake, Steps
from daemon.moves import tell_moves
from daemon.steps import take_steps
from statemachine.changes import Changes
from statemachine.connection import SyncLevel
from statemachine.events import quarantined_event
from statemachine.facts import Seen
from statemachine.model import MarketplaceOrder, OrderId


class OrderIntake(Intake[OrderId, MarketplaceOrder, Changes]):
    """Takes orders in; what a look changed is among their communications."""

    noun: ClassVar[str] = "order"

    @staticmethod
    def _as_id(text: str) -> OrderId:
        return OrderId(text)

    def _dated(self, found: MarketplaceOrder) -> datetime:
        return found.purchased_at

    async def _fingerprints(self, conn: Conn, keys: Collection[OrderId]) -> dict[OrderId, bytes]:
        return await order_store.fingerprints(conn, self._reading.connection, keys)

    async def _step(
        self, tx: Tx, batch: Batch[OrderId, MarketplaceOrder]
    ) -> Steps[OrderId, Changes]:
        read_at, settings = self._reading.read_at, self._reading.settings
        facts = {key: Seen(order, read_at) for key, order in batch.found.items()}
        stepped = await take_steps(tx, settings, facts, self._clock(), batch.fingerprints)
        await communications.add(tx, self._calls(stepped.changes))
        return Steps({c.order.id: c for c in stepped.changes}, stepped.unplaceable)

    def _calls(self, changes: Collection[Changes]) -> list[OrderCall]:
        """What the orders that a look changed keep of it."""
        service, read_at = self._reading.service, self._reading.read_at
        if service is None:
            return []
        return [
            OrderCall(
                change.order.connection,
                change.order.id,
                service,
                "read",
                f"look: status {change.order.facts.status}"
                f"{', first seen' if change.created else ''}",
                read_at,
            )
            for change in changes
            if change.touched
        ]

    async def _keep_fingerprints(self, tx: Tx, fingerprints: Mapping[OrderId, bytes]) -> None:
        await order_store.keep_fingerprints(tx, self._reading.connection, fingerprints)

    async def _told(self, tx: Tx, key: OrderId, error: str, first_seen: datetime) -> None:
        if self._reading.settings.sync_level is SyncLevel.STOCK_ONLY:
            return  # no order event leaves
        connection, now = self._reading.connection, self._clock()
        event = quarantined_event(connection, key, error, first_seen=first_seen, now=now)
        await append(tx, [event])

    def _count_changes(self, changes: Collection[Changes]) -> None:
        tell_moves(self._metrics, self._reading.connection, changes)
