"""Decides waiting orders again when their products changed (Koongo, "Automatic acceptance")."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from adapters.postgres import catalog as product_store
from adapters.postgres import connections
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import PostgresError
from daemon.metrics import Metrics
from daemon.moves import tell_moves
from daemon.steps import Stepped, take_steps
from daemon.supervisor import wait_or_stop
from daemon.tracing import span
from daemon.transactions import in_transaction
from statemachine.facts import CatalogueChanged
from statemachine.model import ConnectionId, OrderId

log = structlog.get_logger(__name__)

PRODUCTS = 200  # product changes taken at a time
ORDERS = 500  # decided in one transaction
_AFTER_FAILURE_SECONDS = 15.0


class Reviewer:
    """Takes product changes off their queue; many replicas may share the work."""

    def __init__(self, database: Database, metrics: Metrics, clock: Callable[[], datetime]):
        self._database = database
        self._metrics = metrics
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Review until `stop`."""
        while not stop.is_set():
            try:
                while not stop.is_set() and await self.review():
                    pass
                await self._database.wakeups.wait("products", 1.0)
            except PostgresError as error:
                log.warning("review put off", error=str(error))
                await wait_or_stop(stop, 1.0)
            except Exception:  # a product nobody foresaw: only reviews wait, the rest goes on
                log.exception("review failed")
                await wait_or_stop(stop, _AFTER_FAILURE_SECONDS)

    async def review(self) -> bool:
        """Decide the orders that wait for some changed products; False when none changed.

        The changes are off the queue once all is decided: a crash puts them back, and deciding
        twice is deciding once. Each connection has a transaction of its own, for no order may be
        locked after products (design, rule 5).
        """
        async with self._database.transaction() as taking:
            changed = await product_store.take_changes(taking, PRODUCTS)
            if not changed:
                return False
            waiting: dict[ConnectionId, list[OrderId]] = {}
            for connection_id, order_id in await product_store.waiting_for(taking, changed):
                waiting.setdefault(connection_id, []).append(order_id)
            with span("review"):
                for connection_id, orders in sorted(waiting.items()):
                    for start in range(0, len(orders), ORDERS):
                        await self._decide(connection_id, orders[start : start + ORDERS])
                        await product_store.still_taking(taking)
        return True

    async def _decide(self, connection_id: ConnectionId, orders: Sequence[OrderId]) -> None:
        facts = {order_id: CatalogueChanged() for order_id in orders}

        async def decide(tx: Tx) -> Stepped:
            connection = await connections.get(tx, connection_id)
            return await take_steps(tx, connection.settings, facts, self._clock())

        stepped = await in_transaction(self._database, decide)
        tell_moves(self._metrics, connection_id, stepped.changes)
        log.info("orders decided again", connection=connection_id, orders=len(stepped.changes))
