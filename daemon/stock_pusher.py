"""Tells marketplaces what is available, where a connection has `push_stock` on.

One process does it, and one call at a time for each connection, so that an older number never
follows a newer one. A site that does not answer holds up nobody else. Calls are spread over the
hour's budget: what moves meanwhile is told together.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from adapters.ports import AccountRejected, MarketplaceError, StockLevel, Throttled
from adapters.postgres import catalog as product_store
from adapters.postgres import stock_pushes
from adapters.postgres.database import Conn, Database, Tx
from adapters.postgres.errors import PostgresError
from adapters.postgres.stock_pushes import TOPIC, Answer, DuePush
from daemon.accounts import Account, Accounts, BudgetSpent, Halted
from daemon.backoff import backoff
from daemon.holdings import Holdings, HoldLost
from daemon.metrics import Metrics
from daemon.supervisor import cancel
from daemon.transactions import in_transaction
from statemachine.connection import ConnectionSettings
from statemachine.model import CatalogId, ConnectionId
from statemachine.stock import marketplace_references

log = structlog.get_logger(__name__)

ROLE = "stock"
BATCH = 500  # products a call
AT_ONCE = 64  # connections
_SHARE = 4
_SHOWN = 10  # refusals that one call puts in the log
_LONGEST_WAIT = timedelta(minutes=1)  # then what may be called is looked up again


class StockPusher:
    """Tells what is due; a product's refusal is kept and not repeated until the product moves."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        holdings: Holdings,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ):
        self._database = database
        self._accounts = accounts
        self._holdings = holdings
        self._metrics = metrics
        self._clock = clock
        self._running: dict[asyncio.Task[None], tuple[ConnectionId, str]] = {}
        self._not_before: dict[ConnectionId, datetime] = {}
        self._failures: dict[ConnectionId, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Tell until `stop`; then finish the calls in hand, as long as that may take."""
        try:
            while await self._holdings.gained(ROLE, stop) is not None:
                await self._start()
                await self._database.wakeups.wait(TOPIC, 1.0)
            await asyncio.gather(*self._running, return_exceptions=True)
        finally:
            await cancel(self._running)

    async def _start(self) -> None:
        """Begin a call for each connection that may make one."""
        try:
            async with self._database.connection() as conn:
                due = await stock_pushes.due(conn)
        except PostgresError as error:
            log.warning("stock not told", error=str(error))
            return
        except Exception:  # what nobody foresaw: the calls in hand go on
            log.exception("stock not told")
            return
        now = self._clock()
        for connection, site in due:
            waits = self._not_before.get(connection, now) > now
            if not waits and self._has_place(connection, site):
                task = asyncio.create_task(self._push(connection), name=f"stock {connection}")
                self._running[task] = connection, site
                task.add_done_callback(self._done)

    def _has_place(self, connection: ConnectionId, site: str) -> bool:
        """A site may take the fewer places the fewer are left: one that hangs leaves some free."""
        free = AT_ONCE - len(self._running)
        taken = [one for one in self._running.values() if one[1] == site]
        at_work = any(running == connection for running, _ in self._running.values())
        return free > 0 and not at_work and len(taken) < max(1, free // _SHARE)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task)
        self._database.wakeups.notify(TOPIC)  # a place is free

    async def _push(self, connection: ConnectionId) -> None:
        """One call; whatever happens, only this connection is concerned."""
        try:
            await self._try(connection)
        except (MarketplaceError, PostgresError, HoldLost) as error:
            self._failed(connection, str(error))
        except Exception:
            log.exception("stock push failed", connection=connection)
            self._failed(connection, "internal error, see the log")
        else:
            self._failures.pop(connection, None)

    async def _try(self, connection: ConnectionId) -> None:
        try:
            async with self._accounts.using(connection) as account:
                self._wait(connection, timedelta(hours=1) / account.settings.max_calls_per_hour)
                await self._tell(account)
        except BudgetSpent as error:
            self._wait(connection, error.until - self._clock())
            log.info("stock told later", connection=connection, error=str(error))
        except Throttled as error:
            until = await self._accounts.rest(account.settings, error.service)
            self._wait(connection, until - self._clock())
            log.warning("stock told later", connection=connection, error=str(error))
        except (AccountRejected, Halted) as error:
            log.warning("stock told later", connection=connection, error=str(error))

    def _wait(self, connection: ConnectionId, time: timedelta) -> None:
        self._not_before[connection] = self._clock() + min(time, _LONGEST_WAIT)

    def _failed(self, connection: ConnectionId, error: str) -> None:
        failures = self._failures[connection] = self._failures.get(connection, 0) + 1
        self._wait(connection, backoff(failures, cap=_LONGEST_WAIT.total_seconds()))
        log.warning("stock told later", connection=connection, error=error, failures=failures)

    async def _tell(self, account: Account) -> None:
        """Send what is due, keep each product's answer. Raises HoldLost."""
        settings = account.settings
        self._holdings.carry_out_as(ROLE)  # another process may be telling newer numbers
        async with self._database.connection() as conn:
            due = await stock_pushes.batch(conn, account.connection.id, _catalog(settings), BATCH)
            sendable, refused = await _prepare(conn, settings, due)
        if sendable:
            await self._send(account, sendable)
        if refused:
            await self._settle(settings, refused)

    async def _send(self, account: Account, due: Sequence[tuple[DuePush, StockLevel]]) -> None:
        pushes, levels = [push for push, _ in due], [level for _, level in due]
        try:
            errors = await account.for_actions.push_stock(levels)
        except (Throttled, AccountRejected):
            raise
        except MarketplaceError as error:
            await self._postpone(account.settings, pushes, str(error))
            raise
        taken = zip(pushes, levels, errors, strict=True)
        await self._settle(
            account.settings,
            [Answer(p, level.quantity if e is None else None, e) for p, level, e in taken],
        )

    async def _settle(self, settings: ConnectionSettings, answers: Sequence[Answer]) -> None:
        connection = ConnectionId(settings.id)

        async def settle(tx: Tx) -> None:
            await stock_pushes.settle(tx, connection, _catalog(settings), answers)

        await in_transaction(self._database, settle)
        refused = [answer for answer in answers if answer.error is not None]
        log.info("stock told", connection=connection, products=len(answers), refused=len(refused))
        for answer in refused[:_SHOWN]:
            product = answer.push.product.id
            log.warning("stock refused", connection=connection, product=product, error=answer.error)

    async def _postpone(
        self, settings: ConnectionSettings, pushes: Sequence[DuePush], error: str
    ) -> None:
        """The whole call failed: others first, then these again, should nothing else move them."""
        connection = ConnectionId(settings.id)
        attempts = max(push.attempts for push in pushes) + 1
        due_at = self._clock() + backoff(attempts)

        async def postpone(tx: Tx) -> None:
            catalog = _catalog(settings)
            await stock_pushes.postpone(tx, connection, catalog, pushes, due_at, error)

        await in_transaction(self._database, postpone)


def _catalog(settings: ConnectionSettings) -> CatalogId:
    return CatalogId(settings.catalog)


async def _prepare(
    conn: Conn, settings: ConnectionSettings, due: Sequence[DuePush]
) -> tuple[list[tuple[DuePush, StockLevel]], list[Answer]]:
    """What can be sent, and what cannot with the reason why."""
    attribute = settings.product_id_attribute
    ambiguous = await _ambiguous(conn, settings, due)
    sendable, refused = [], []
    for push in due:
        references = marketplace_references(push.product, attribute, push.reference)
        if references is None:
            error = f"the product has no {attribute}, which names it on the marketplace"
            refused.append(Answer(push, None, f"{error}; not sent"))
        elif references[1] in ambiguous:
            error = f"several products have the {attribute} {references[1]}"
            refused.append(Answer(push, None, f"{error}; not sent"))
        elif not all(map(str.isprintable, references)):
            error = f"{references!r} holds characters that cannot be sent"
            refused.append(Answer(push, None, f"{error}; not sent"))
        else:
            sendable.append((push, StockLevel(*references, push.product.available)))
    return sendable, refused


async def _ambiguous(
    conn: Conn, settings: ConnectionSettings, due: Iterable[DuePush]
) -> set[str | None]:
    """Identifying values that more than one product of the catalogue bears."""
    attribute = settings.product_id_attribute
    values = {value for push in due if (value := push.product.identified_by(attribute))}
    bearers = await product_store.matching(
        conn, _catalog(settings), attribute, values, [], lock=False
    )
    counted = Counter(product.identified_by(attribute) for product in bearers)
    return {value for value, count in counted.items() if count > 1}
