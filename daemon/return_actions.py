"""Carries one stored action on a return out and settles what the marketplace answers.

A decision whose earlier try may have reached the marketplace is sent only if the return, read
first, still waits for it. A label is simply sent again: exports do not show labels, and the same
one twice changes nothing.
"""

from collections.abc import Callable
from datetime import datetime

import structlog

from adapters.ports import (
    Label,
    NotFound,
    Rejected,
    TransportFault,
    UnreadableOrder,
    WrongChronology,
)
from adapters.postgres import actions
from adapters.postgres import returns as return_store
from adapters.postgres.actions import ClaimedAction
from adapters.postgres.database import Database, Tx
from daemon.accounts import Account
from daemon.holdings import Holdings
from daemon.labels import given
from daemon.metrics import Metrics
from daemon.return_steps import take_return_step, take_return_steps
from daemon.steps import Overtaken
from daemon.transactions import in_transaction
from statemachine.model import ActionKind, ActionStatus, Return, ReturnId
from statemachine.return_facts import (
    ReturnActionCarriedOut,
    ReturnActionRejected,
    ReturnChanges,
    ReturnFact,
    ReturnSeen,
)

log = structlog.get_logger(__name__)

_TRANSIENT_ONCE = (-22, -23)  # label file not received (web-service page, "Result codes")


class ReturnActions:
    """The dispatcher's hand for returns; what fails transiently is raised for it to postpone."""

    def __init__(
        self,
        database: Database,
        holdings: Holdings,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ):
        self._database = database
        self._holdings = holdings
        self._metrics = metrics
        self._clock = clock

    async def carry_out(self, account: Account, action: ClaimedAction) -> None:
        """Do what is still wanted; what the marketplace will not do is settled too."""
        label = await self._label(action)
        about = None if label is None else given(label)
        try:
            if not await self._still_wanted(account, action, label):
                return
            with self._holdings.changing(action.id):
                await account.for_actions.change_return(_return_id(action), action.kind, label)
            fact: ReturnFact = ReturnActionCarriedOut(action.kind, action.requested_by, about)
        except WrongChronology as error:
            try:
                await self._read_again(account, action)
            except UnreadableOrder as unreadable:
                log.warning("return not readable", **_about(action), error=str(unreadable))
            fact = ReturnActionRejected(action.kind, "wrong_chronology", error.message, about)
        except NotFound as error:
            fact = ReturnActionRejected(action.kind, "not_found", error.message, about)
        except Rejected as error:
            fact = ReturnActionRejected(action.kind, "rejected", error.message, about)
        except TransportFault as error:
            if error.code not in _TRANSIENT_ONCE or not await self._failed_so_before(action, error):
                raise
            fact = ReturnActionRejected(action.kind, "rejected", error.message, about)
        await self._settle(account, action, fact)

    async def _failed_so_before(self, action: ClaimedAction, error: TransportFault) -> bool:
        """True when the try before this one ended so too, and not by a budget or a time-out."""
        async with self._database.connection() as conn:
            of_return = await actions.find_of_return(conn, action.connection, _return_id(action))
        before = next((each.message for each in of_return if each.id == action.id), "")
        return before == str(error)

    async def _label(self, action: ClaimedAction) -> Label | None:
        """The label the action is to send; None for the other actions."""
        if action.kind is not ActionKind.RETURN_LABEL:
            return None
        async with self._database.connection() as conn:
            return await return_store.label(conn, action.connection, _return_id(action))

    async def _still_wanted(
        self, account: Account, action: ClaimedAction, label: Label | None
    ) -> bool:
        """False once it is settled: a decision that was seen carried out, a label that is gone."""
        if action.kind is ActionKind.RETURN_LABEL:
            if label is None:
                await self._settle_as(action, ActionStatus.SUPERSEDED, "there is no label to send")
            return label is not None
        returned = await self._read_again(account, action) if action.unsure else None
        if returned is None or returned.waits_for(action.kind):
            return True
        status = returned.actions[action.kind]
        if status is ActionStatus.SUPERSEDED:
            await self._withdraw(action)
        else:
            await self._settle_as(action, status, "seen on Spartoo")
        return False

    async def _withdraw(self, action: ClaimedAction) -> None:
        """It was withdrawn and has not arrived: superseded, unless it is wanted again now."""
        async with self._database.transaction() as tx:
            holder, now = self._holdings.holder, self._clock()
            await actions.postpone(tx, action.id, holder, now, False, "not wanted any more")

    async def _settle(self, account: Account, action: ClaimedAction, fact: ReturnFact) -> None:
        """Store the outcome: the action, and all that follows for the return, at once."""

        async def settle(tx: Tx) -> ReturnChanges:
            now, return_id = self._clock(), _return_id(action)
            changes = await take_return_step(tx, account.settings, return_id, fact, now)
            await self._settle_action(tx, action, changes, fact)
            return changes

        changes = await in_transaction(self._database, settle)
        self._metrics.count_return_changes(account.settings.id, [changes])
        problem, about = changes.returned.problem, _about(action)
        if problem is None:
            log.info("action carried out", **about, state=changes.returned.state)
        else:
            log.warning(
                "action settled", **about, state=changes.returned.state, problem=problem.message
            )

    async def _settle_action(
        self, tx: Tx, action: ClaimedAction, changes: ReturnChanges, fact: ReturnFact
    ) -> None:
        holder = self._holdings.holder
        status = changes.returned.actions.get(action.kind, ActionStatus.DONE)
        if status is ActionStatus.PENDING:  # another label was given while this one was sent
            now = self._clock()
            await actions.postpone(tx, action.id, holder, now, False, "another label was given")
            return
        code, message = "done", ""
        if isinstance(fact, ReturnActionRejected):
            code, message = fact.code, fact.message
        await actions.settle(tx, action.id, holder, status, code, message)

    async def _read_again(self, account: Account, action: ClaimedAction) -> Return | None:
        """The return as Spartoo has it, stored; None where nobody knows it. Raises Overtaken."""
        read_at, return_id = self._clock(), _return_id(action)
        exported = await account.for_actions.fetch_return(return_id)
        seen = ReturnSeen(exported.read(), read_at)
        fingerprints = {return_id: exported.fingerprint}
        facts: dict[ReturnId, ReturnFact] = {return_id: seen}
        stepped = await in_transaction(
            self._database,
            lambda tx: take_return_steps(tx, account.settings, facts, self._clock(), fingerprints),
        )
        self._metrics.count_return_changes(account.settings.id, stepped.changes)
        if any(change.stale for change in stepped.changes):
            raise Overtaken
        return stepped.changes[0].returned if stepped.changes else None

    async def _settle_as(self, action: ClaimedAction, status: ActionStatus, message: str) -> None:
        async with self._database.transaction() as tx:
            holder = self._holdings.holder
            await actions.settle(tx, action.id, holder, status, "done", message)
        log.info("action settled", **_about(action), status=status, message=message)


def _return_id(action: ClaimedAction) -> ReturnId:
    return ReturnId(action.order_id)


def _about(action: ClaimedAction) -> dict[str, str]:
    return {
        "connection": action.connection,
        "return_id": action.order_id,
        "action": action.kind,
    }
