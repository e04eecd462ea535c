"""The life of a return (RMA) as a state machine, and the way through steps nobody saw.

Invariant: a return only ever moves along these transitions, one at a time, so consumers see a
legal path whatever happened on the marketplace between two looks.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import cache

from statemachine.life import Life
from statemachine.model import ActionKind, ReturnState


class ReturnTrigger(StrEnum):
    ACCEPT = "accept"
    REFUSE = "refuse"
    PAY = "pay"
    REFUND = "refund"


class ReturnStatus:
    """Statuses of a return on the marketplace (web-service page, "Returns")."""

    WAITING = 2
    REFUSED = 3
    ACCEPTED = 4
    PAID = 5
    REFUNDED = 7


_S = ReturnState

TRANSITIONS: tuple[tuple[ReturnTrigger, tuple[ReturnState, ...], ReturnState], ...] = (
    (ReturnTrigger.ACCEPT, (_S.REQUESTED, _S.REFUSED), _S.ACCEPTED),
    (ReturnTrigger.REFUSE, (_S.REQUESTED,), _S.REFUSED),
    (ReturnTrigger.PAY, (_S.ACCEPTED,), _S.PAID),
    (ReturnTrigger.REFUND, (_S.PAID,), _S.REFUNDED),
)

STATE_OF_STATUS: dict[int, ReturnState] = {
    ReturnStatus.WAITING: _S.REQUESTED,
    ReturnStatus.REFUSED: _S.REFUSED,
    ReturnStatus.ACCEPTED: _S.ACCEPTED,
    ReturnStatus.PAID: _S.PAID,
    ReturnStatus.REFUNDED: _S.REFUNDED,
}

# What an action asks the marketplace for, and the move that follows; a label moves nothing.
TRIGGER_OF = {
    ActionKind.RETURN_ACCEPT: ReturnTrigger.ACCEPT,
    ActionKind.RETURN_REFUSE: ReturnTrigger.REFUSE,
}
STATUS_WANTED = {
    ActionKind.RETURN_ACCEPT: ReturnStatus.ACCEPTED,
    ActionKind.RETURN_REFUSE: ReturnStatus.REFUSED,
}
RETURN_ACTIONS = frozenset({*TRIGGER_OF, ActionKind.RETURN_LABEL})
FULFILLED = {
    ActionKind.RETURN_ACCEPT: frozenset({_S.ACCEPTED, _S.PAID, _S.REFUNDED}),
    ActionKind.RETURN_REFUSE: frozenset({_S.REFUSED}),
}
# Until the money has gone back a parcel may still travel.
LABELLED_IN = frozenset({_S.REQUESTED, _S.ACCEPTED, _S.REFUSED})

LIFE = Life("a return", ReturnTrigger, TRANSITIONS, initial=_S.REQUESTED, final={_S.REFUNDED})
target, move = LIFE.target, LIFE.move


@cache
def path(state: ReturnState, status: int) -> Sequence[ReturnTrigger] | None:
    """The shortest legal way to the state the marketplace's status names.

    Empty when it is there already, None when no way leads there. Raises KeyError for a status
    this program does not know.
    """
    return LIFE.path(state, {STATE_OF_STATUS[status]}, ReturnTrigger)
