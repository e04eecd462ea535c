"""Steps open orders again when their products, or the settings, changed.

Source: Koongo, "Automatic acceptance".
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog

from adapters.postgres import catalog as product_store
from adapters.postgres import connections
from adapters.postgres import orders as order_store
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import PostgresError
from daemon.metrics import Metrics
from daemon.moves import tell_moves
from daemon.steps import Stepped, take_steps
from daemon.supervisor import wait_or_stop
from daemon.tracing import span
from daemon.transactions import in_transaction
from statemachine.facts import CatalogueChanged, Fact, SettingsChanged
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
        self._resting: dict[ConnectionId, float] = {}  # that failed, until when

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
        """Decide the orders that wait for some changed products; False when nothing changed.

        The changes are off the queue once all is decided: a crash puts them back, and deciding
        twice is deciding once. Each connection has a transaction of its own, for no order may be
        locked after products (design, rule 5).
        """
        async with self._database.transaction() as taking:
            changed = await product_store.take_changes(taking, PRODUCTS)
            waiting: dict[ConnectionId, list[OrderId]] = {}
            for connection_id, order_id in await product_store.waiting_for(taking, changed):
                waiting.setdefault(connection_id, []).append(order_id)
            with span("review"):
                for connection_id, orders in sorted(waiting.items()):
                    await self._review(taking, connection_id, orders)
        return await self._follow_settings() or bool(changed)

    async def _review(
        self, taking: Tx, connection_id: ConnectionId, orders: Sequence[OrderId]
    ) -> None:
        """A connection whose orders cannot be stepped holds up no other; it is noted for later."""
        try:
            for start in range(0, len(orders), ORDERS):
                some = orders[start : start + ORDERS]
                await self._step(connection_id, dict.fromkeys(some, CatalogueChanged()))
                await product_store.still_taking(taking)
        except PostgresError:
            raise
        except Exception:
            log.exception("orders not decided again", connection=connection_id)
            await connections.note_change(taking, connection_id)

    async def _follow_settings(self) -> bool:
        """Step the open orders of a connection that changed; False for none.

        All of them again after a crash: an order that is where it belongs stays there.
        """
        now = asyncio.get_running_loop().time()
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        connection_id: ConnectionId | None = None
        try:
            async with self._database.transaction() as taking:
                connection_id = await connections.take_change(taking, self._resting)
                if connection_id is None:
                    return False
                after: OrderId | None = None
                while page := await order_store.open_ids(taking, connection_id, after, ORDERS):
                    await self._step_page(taking, connection_id, page)
                    after = page[-1]
        except PostgresError:
            raise
        except Exception:
            log.exception("orders not decided again", connection=connection_id)
            if connection_id is not None:
                self._resting[connection_id] = now + _AFTER_FAILURE_SECONDS
        return True

    async def _step_page(
        self, taking: Tx, connection_id: ConnectionId, page: Sequence[OrderId]
    ) -> None:
        """Together, and where that fails one by one: an order that fails holds up no other.

        Raises the error of one that failed, once all others are stepped.
        """
        failed = await self._failure(connection_id, page)
        if failed is not None and len(page) > 1:
            failed = None
            for order_id in page:
                failed = await self._failure(connection_id, [order_id]) or failed
                await product_store.still_taking(taking)
        if failed is not None:
            raise failed

    async def _failure(
        self, connection_id: ConnectionId, orders: Sequence[OrderId]
    ) -> Exception | None:
        """Step them; what went wrong that is no fault of the database's."""
        try:
            await self._step(connection_id, dict.fromkeys(orders, SettingsChanged()))
        except PostgresError:
            raise
        except Exception as error:
            log.exception("orders not stepped", connection=connection_id, orders=len(orders))
            return error
        return None

    async def _step(self, connection_id: ConnectionId, facts: Mapping[OrderId, Fact]) -> None:
        async def decide(tx: Tx) -> Stepped:
            connection = await connections.get(tx, connection_id)
            return await take_steps(tx, connection.settings, facts, self._clock())

        stepped = await in_transaction(self._database, decide)
        tell_moves(self._metrics, connection_id, stepped.changes)
        log.info("orders decided again", connection=connection_id, orders=len(stepped.changes))
