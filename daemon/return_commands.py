"""Commands on returns: the step, and the label kept until it is sent, in one transaction."""

from datetime import datetime
from typing import assert_never

from adapters.postgres import returns as return_store
from adapters.postgres.database import Tx
from daemon.command_messages import ReturnDecision, ReturnLabel
from daemon.labels import given
from daemon.return_steps import take_return_step
from statemachine.connection import ConnectionSettings
from statemachine.model import ConnectionId, ReturnId
from statemachine.return_facts import (
    AcceptReturn,
    GivenLabel,
    LabelReturn,
    RefuseReturn,
    ReturnChanges,
    ReturnCommand,
)


async def act_on_return(
    tx: Tx, settings: ConnectionSettings, command: ReturnDecision | ReturnLabel, now: datetime
) -> ReturnChanges:
    """Do what is asked, in the given transaction. Raises Refused."""
    return_id, label = ReturnId(command.return_id), command.label
    fact = _as_fact(command, None if label is None else given(label))
    changes = await take_return_step(tx, settings, return_id, fact, now)
    if changes.keeps_label and label is not None:
        await return_store.keep_label(tx, ConnectionId(settings.id), return_id, label)
    return changes


def _as_fact(command: ReturnDecision | ReturnLabel, label: GivenLabel | None) -> ReturnCommand:
    match command.command:
        case "return.accept":
            return AcceptReturn(command.by, label)
        case "return.refuse":
            return RefuseReturn(command.by, label)
        case "return.label":
            if label is None:
                raise AssertionError("a return.label without a label was read")
            return LabelReturn(command.by, label)
        case _:
            assert_never(command.command)
