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
from daemon.steps import take_steps
from daemon.supervisor import wait_or_stop
from daemon.tracing import span
from daemon.transactions import in_transaction
from statemachine.changes import Changes
from statemachine.facts import CatalogueChanged, Fact
from statemachine.model import CatalogId, ConnectionId, OrderId, ProductId

log = structlog.get_logger(__name__)

PRODUCTS = 200  # product changes a transaction
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

        The changes are taken off the queue in the transaction that decides the orders: a crash
        puts them back.
        """
        decided = await in_transaction(self._database, self._review)
        for connection_id, changes in (decided or {}).items():
            tell_moves(self._metrics, connection_id, changes)
            log.info("orders decided again", connection=connection_id, orders=len(changes))
        return decided is not None

    async def _review(self, tx: Tx) -> dict[ConnectionId, list[Changes]] | None:
        changed = await product_store.take_changes(tx, PRODUCTS)
        if not changed:
            return None
        with span("review"):
            return await self._decide(tx, changed)

    async def _decide(
        self, tx: Tx, changed: Sequence[tuple[CatalogId, ProductId]]
    ) -> dict[ConnectionId, list[Changes]]:
        facts: dict[ConnectionId, dict[OrderId, Fact]] = {}
        for connection_id, order_id in await product_store.waiting_for(tx, changed):
            facts.setdefault(connection_id, {})[order_id] = CatalogueChanged()
        decided = {}
        for connection_id, of_connection in sorted(facts.items()):
            connection = await connections.get(tx, connection_id)
            stepped = await take_steps(tx, connection.settings, of_connection, self._clock())
            decided[connection_id] = stepped.changes
        return decided
