"""One transaction per step of returns: lock them, let the core decide, store all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adapters.postgres import returns as return_store
from adapters.postgres.database import Tx
from statemachine.connection import ConnectionSettings
from statemachine.facts import Refused
from statemachine.model import ConnectionId, Return, ReturnId
from statemachine.return_facts import (
    ReturnChanges,
    ReturnFact,
    ReturnSeen,
    UnknownReturnStatus,
)
from statemachine.return_step import return_first_sight, step_return


@dataclass(slots=True)
class SteppedReturns:
    """What a batch of facts did; `unplaceable` returns were first seen in an unknown status."""

    changes: list[ReturnChanges] = field(default_factory=list)
    unplaceable: dict[ReturnId, UnknownReturnStatus] = field(default_factory=dict)


async def take_return_steps(
    tx: Tx,
    settings: ConnectionSettings,
    facts: Mapping[ReturnId, ReturnFact],
    now: datetime,
    fingerprints: Mapping[ReturnId, bytes] | None = None,
) -> SteppedReturns:
    """Apply one fact to each return and store everything that follows, in the given transaction.

    Raises Refused for a command that may not be, Conflict when another process was first.
    """
    connection = ConnectionId(settings.id)
    known = await return_store.lock(tx, connection, facts.keys())
    stepped = SteppedReturns()
    for return_id, fact in facts.items():
        try:
            changes = _step(return_id, known.get(return_id), fact, settings, now)
        except UnknownReturnStatus as unknown:
            stepped.unplaceable[return_id] = unknown
        else:
            stepped.changes.append(changes)
    await return_store.record(tx, connection, stepped.changes, fingerprints or {})
    return stepped


async def take_return_step(
    tx: Tx, settings: ConnectionSettings, return_id: ReturnId, fact: ReturnFact, now: datetime
) -> ReturnChanges:
    """Apply one fact to one known return. Raises Refused (`unknown_return` among others)."""
    stepped = await take_return_steps(tx, settings, {return_id: fact}, now)
    return stepped.changes[0]


def _step(
    return_id: ReturnId,
    returned: Return | None,
    fact: ReturnFact,
    settings: ConnectionSettings,
    now: datetime,
) -> ReturnChanges:
    if returned is not None:
        return step_return(returned, fact, settings, now)
    if isinstance(fact, ReturnSeen):
        return return_first_sight(fact, settings, now)
    raise Refused(
        "unknown_return",
        f"connection {settings.id} has no return {return_id}; returns are read every"
        f" {settings.open_look_interval} (open_look_interval)",
    )
