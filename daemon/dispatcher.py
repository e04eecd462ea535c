"""Carries stored actions out on the marketplace and settles what it answers.

Before an action whose earlier try may have reached the marketplace (time-out, crash), the order is
read first and the action sent only if it is still wanted: nobody is told the same thing twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from adapters.ports import (
    AccountRejected,
    MarketplaceError,
    NotFound,
    Rejected,
    Throttled,
    TimedOut,
    UnreadableOrder,
    WrongChronology,
)
from adapters.postgres import actions
from adapters.postgres import orders as order_store
from adapters.postgres.actions import ClaimedAction
from adapters.postgres.connections import UnreadableKey
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import PostgresError
from daemon.accounts import CALLS_AT_ONCE, Account, Accounts, BudgetSpent, Halted
from daemon.backoff import backoff
from daemon.holdings import HOLD, Holdings, HoldLost, Withdrawn
from daemon.ingest import OrderIntake
from daemon.intake import Reading
from daemon.metrics import Metrics
from daemon.moves import tell_moves
from daemon.return_actions import ReturnActions
from daemon.steps import Overtaken, take_steps
from daemon.supervisor import cancel
from daemon.together import Together
from daemon.tracing import span
from daemon.transactions import in_transaction
from statemachine.changes import Changes
from statemachine.connection import ConnectionSettings, SyncLevel
from statemachine.facts import ActionCarriedOut, ActionRejected, Fact, Seen, SettingsChanged
from statemachine.model import ActionKind, ActionStatus, ConnectionId, Order, OrderId
from statemachine.returns import RETURN_ACTIONS

log = structlog.get_logger(__name__)

PER_CONNECTION = 4 * CALLS_AT_ONCE  # held: while some are called, others are read or settled
AT_ONCE = 1024
_STOCK_ONLY = "the connection synchronizes stock only: nothing is sent"
_SHARE = 8
_SLOW_SITE_SECONDS = 10.0  # a site that answers late may still do what was asked


class Outcome(NamedTuple):
    """What became of an action, to be stored under the settings it was carried out with."""

    settings: ConnectionSettings
    action: ClaimedAction
    fact: Fact


class Dispatcher:
    """Claims due actions and carries them out, PER_CONNECTION at a time for each connection."""

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
        self._returns = ReturnActions(database, holdings, metrics, clock)
        self._running: dict[asyncio.Task[None], ClaimedAction] = {}
        self._settling = Together(self._settle_all, span="settle")
        self._reading = Together(self._read_orders)

    async def run(self, stop: asyncio.Event) -> None:
        """Carry out until `stop`; then finish what is in hand, as long as that may take."""
        try:
            while not stop.is_set():
                if not await self._claim():
                    await self._database.wakeups.wait("actions", 1.0)
            await asyncio.gather(*self._running, return_exceptions=True)
        finally:
            await cancel(self._running)

    async def _claim(self) -> int:
        free = AT_ONCE - len(self._running)
        if free <= 0 or not self._holdings.fresh:
            return 0
        try:
            async with self._database.transaction() as tx:
                claimed = await actions.claim(
                    tx, self._holdings.holder, HOLD, _share(free), free, self._accounts.unreadable
                )
        except PostgresError as error:
            log.warning("actions not claimed", error=str(error))
            return 0
        except Exception:  # what nobody foresaw: the actions in hand go on
            log.exception("actions not claimed")
            return 0
        for action in claimed:
            name = f"{action.kind} {action.connection} {action.order_id}"
            task = asyncio.create_task(self._act(action), name=name)
            self._running[task] = action
            self._holdings.actions_in_hand.add(action.id)
            task.add_done_callback(self._done)
        return len(claimed)

    def _done(self, task: asyncio.Task[None]) -> None:
        action = self._running.pop(task)
        self._holdings.actions_in_hand.discard(action.id)
        self._database.wakeups.notify("actions")  # a place is free

    async def _act(self, action: ClaimedAction) -> None:
        with span("action", action.traceparent, **_about(action)):
            await self._carry_through(action)

    async def _carry_through(self, action: ClaimedAction) -> None:
        """One action from claim to settlement; whatever happens, only this one is concerned."""
        self._holdings.carry_out(action.id)
        try:
            async with self._accounts.using(action.connection) as account:
                await self._carry_out(account, action)
        except BudgetSpent as error:
            await self._postpone(action, error.until, str(error), unsure=action.unsure)
        except Withdrawn as error:
            await self._postpone(action, self._clock(), str(error), unsure=action.unsure)
        except Throttled as error:
            await self._throttled(action, error)
        except (AccountRejected, Halted) as error:
            await self._postpone(action, self._clock(), str(error), unsure=action.unsure)
        except (MarketplaceError, UnreadableOrder, Overtaken) as error:
            first = _SLOW_SITE_SECONDS if isinstance(error, TimedOut) else 1.0
            due = self._clock() + backoff(action.attempts, first=first)
            await self._postpone(action, due, str(error), unsure=True)
        except UnreadableKey as error:  # another process may have the secret key: due at once
            self._accounts.unreadable.add(action.connection)
            await self._postpone(action, self._clock(), str(error), unsure=action.unsure)
        except (PostgresError, HoldLost) as error:
            log.warning("action taken up again later", **_about(action), error=str(error))
        except Exception:
            log.exception("action failed", **_about(action))
            due = self._clock() + backoff(action.attempts, first=5)
            await self._postpone(action, due, "internal error, see the log", unsure=True)

    async def _carry_out(self, account: Account, action: ClaimedAction) -> None:
        if action.kind is ActionKind.FETCH:
            await self._fetch(account, action)
            return
        if account.settings.sync_level is SyncLevel.STOCK_ONLY:
            await self._withdraw(account, action)
            return
        if action.kind in RETURN_ACTIONS:
            await self._returns.carry_out(account, action)
            return
        if not action.unsure or await self._still_wanted(account, action):
            await self._send(account, action)

    async def _withdraw(self, account: Account, action: ClaimedAction) -> None:
        """Nothing is sent for a connection that synchronizes stock only."""
        if action.kind in RETURN_ACTIONS:
            await self._settle_as(action, ActionStatus.SUPERSEDED, _STOCK_ONLY, "stock_only")
        else:
            await self._settle(account, action, SettingsChanged())

    async def _still_wanted(self, account: Account, action: ClaimedAction) -> bool:
        """An earlier try may have arrived: read the order; False once the action is settled.

        Raises UnreadableOrder, Overtaken: what was not read does not tell that it did not arrive.
        """
        try:
            order = await self._read_again(account, action)
        except NotFound as error:
            rejected = ActionRejected(action.kind, "not_found", error.message)
            await self._settle(account, action, rejected)
            return False
        if order is None or order.waits_for(action.kind):
            return True
        status = order.actions[action.kind]
        if status is ActionStatus.SUPERSEDED:  # unless it is wanted again this moment
            await self._postpone(action, self._clock(), "not wanted any more", unsure=False)
        else:
            await self._settle_as(action, status, "seen on Spartoo")
        return False

    async def _send(self, account: Account, action: ClaimedAction) -> None:
        fact: Fact
        try:
            await self._change(account, action)
            fact = ActionCarriedOut(action.kind, action.requested_by, action.reason)
        except WrongChronology as error:
            try:
                await self._read_again(account, action)
            except UnreadableOrder as unreadable:
                log.warning("order not readable", **_about(action), error=str(unreadable))
            fact = ActionRejected(action.kind, "wrong_chronology", error.message)
        except NotFound as error:
            fact = ActionRejected(action.kind, "not_found", error.message)
        except Rejected as error:
            fact = ActionRejected(action.kind, "rejected", error.message)
        await self._settle(account, action, fact)

    async def _change(self, account: Account, action: ClaimedAction) -> None:
        """The one call that changes the order; a shipment takes its parcels as they are now."""
        marketplace = account.for_actions
        if action.kind is not ActionKind.SHIP:
            with self._holdings.changing(action.id):
                await marketplace.change_order(action.order_id, action.kind)
            return
        order = await self._reading.do(action.connection, action.order_id)
        with self._holdings.changing(action.id):
            await marketplace.change_order(
                action.order_id, action.kind, order.shipments, order.facts.lines
            )

    async def _read_orders(
        self, connection: ConnectionId, ids: Sequence[OrderId]
    ) -> Sequence[Order]:
        async with self._database.connection() as conn:
            orders = await order_store.read(conn, connection, ids)
        return [orders[order_id] for order_id in ids]

    async def _settle(self, account: Account, action: ClaimedAction, fact: Fact) -> None:
        """Store the outcome: the action, and all that follows for the order, in one transaction."""
        key = (action.connection, account.connection.version)
        outcome = Outcome(account.settings, action, fact)
        self._tell(account, action, await self._settling.do(key, outcome, action.order_id))

    async def _settle_all(
        self, _: tuple[ConnectionId, int], outcomes: Sequence[Outcome]
    ) -> Sequence[Changes]:
        """Outcomes of different orders under the same settings."""
        settings = outcomes[0].settings
        facts = {outcome.action.order_id: outcome.fact for outcome in outcomes}

        async def settle(tx: Tx) -> Sequence[Changes]:
            stepped = await take_steps(tx, settings, facts, self._clock())
            stepped.check()
            over = [_over(*pair) for pair in zip(outcomes, stepped.changes, strict=True)]
            await actions.settle_all(tx, self._holdings.holder, over)
            return stepped.changes

        return await in_transaction(self._database, settle)

    def _tell(self, account: Account, action: ClaimedAction, changes: Changes) -> None:
        tell_moves(self._metrics, account.settings.id, [changes])
        state = changes.order.state
        if changes.order.problem is None:
            log.info("action carried out", **_about(action), state=state)
        else:
            problem = changes.order.problem
            log.warning("action settled", **_about(action), state=state, problem=problem.message)

    async def _read_again(self, account: Account, action: ClaimedAction) -> Order | None:
        """The order as Spartoo has it now, stored; None where nobody knows it. Raises Overtaken."""
        read_at = self._clock()
        exported = await account.for_actions.fetch_order(action.order_id)
        seen = Seen(exported.read(), read_at)
        fingerprints = {action.order_id: exported.fingerprint}
        facts: dict[OrderId, Fact] = {action.order_id: seen}
        stepped = await in_transaction(
            self._database,
            lambda tx: take_steps(tx, account.settings, facts, self._clock(), fingerprints),
        )
        tell_moves(self._metrics, account.settings.id, stepped.changes)
        if any(change.stale for change in stepped.changes):
            raise Overtaken
        return stepped.changes[0].order if stepped.changes else None

    async def _fetch(self, account: Account, action: ClaimedAction) -> None:
        """Read one order as a look would."""
        read_at = self._clock()
        try:
            exported = await account.for_actions.fetch_order(action.order_id)
        except NotFound as error:
            await self._not_found(account, action, error)
            return
        reading = Reading(account.settings, read_at, anew=True)
        intake = OrderIntake(self._database, reading, self._metrics, self._clock)
        await intake.take([exported])
        await self._settle_as(action, ActionStatus.DONE, str(intake.tally))

    async def _not_found(self, account: Account, action: ClaimedAction, error: NotFound) -> None:
        """Nobody knows the order; one that is known here needs a person."""
        async with self._database.connection() as conn:
            known = await order_store.find(conn, action.order_id, action.connection)
        if known:
            fact = ActionRejected(action.kind, "not_found", error.message)
            await self._settle(account, action, fact)
        else:
            await self._settle_as(action, ActionStatus.FAILED, error.message, "unknown_order")

    async def _settle_as(
        self, action: ClaimedAction, status: ActionStatus, message: str, code: str = "done"
    ) -> None:
        async with self._database.transaction() as tx:
            holder = self._holdings.holder
            await actions.settle(tx, action.id, holder, status, code, message)
        log.info("action settled", **_about(action), status=status, message=message)

    async def _throttled(self, action: ClaimedAction, error: Throttled) -> None:
        """-429 was answered instead of doing it: nothing is unsure."""
        try:
            account = await self._accounts.get(action.connection)
            until = await self._accounts.rest(account.settings, error.service)
        except PostgresError:
            until = self._clock() + timedelta(minutes=1)
        await self._postpone(action, until, str(error), unsure=action.unsure)

    async def _postpone(
        self, action: ClaimedAction, due_at: datetime, message: str, *, unsure: bool
    ) -> None:
        log.warning("action postponed", **_about(action), error=message, due_at=due_at.isoformat())
        holder = self._holdings.holder
        try:
            async with self._database.transaction() as tx:
                await actions.postpone(tx, action.id, holder, due_at, unsure, message)
        except PostgresError as error:
            log.warning("action taken up again later", **_about(action), error=str(error))


def _share(free: int) -> int:
    """What one connection may hold: less the fewer places are left, so that some always are.

    However many sites do not answer, a connection that holds nothing yet gets its turn.
    """
    return max(1, min(PER_CONNECTION, free // _SHARE))


def _about(action: ClaimedAction) -> dict[str, str]:
    return {
        "connection": action.connection,
        "return_id" if action.kind in RETURN_ACTIONS else "order_id": action.order_id,
        "action": action.kind,
    }


def _over(outcome: Outcome, changes: Changes) -> tuple[int, ActionStatus, str, str]:
    """How the action ends: its status, with code and message."""
    action, fact = outcome.action, outcome.fact
    status = changes.order.actions.get(action.kind, ActionStatus.DONE)
    if isinstance(fact, ActionRejected):
        return action.id, status, fact.code, fact.message
    if isinstance(fact, SettingsChanged):
        return action.id, status, "stock_only", _STOCK_ONLY
    return action.id, status, "done", ""
