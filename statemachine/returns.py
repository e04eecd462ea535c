"""The life of a return (RMA) as a state machine, and the way through steps nobody saw.

Invariant: a return only ever moves along these transitions, one at a time, so consumers see a
legal path whatever happened on the marketplace between two looks.
"""

from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from functools import cache

from transitions import Machine, State

from statemachine.model import ActionKind, ReturnState
from statemachine.order import IllegalMove


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

# One machine without a model for all returns, as for orders.
MACHINE = Machine(
    model=None,
    states=[State(str(state), final=state is _S.REFUNDED) for state in ReturnState],
    transitions=[
        {"trigger": str(trigger), "source": [str(s) for s in sources], "dest": str(target)}
        for trigger, sources, target in TRANSITIONS
    ],
    initial=str(_S.REQUESTED),
    auto_transitions=False,
)


@cache
def target(state: ReturnState, trigger: ReturnTrigger) -> ReturnState | None:
    """Where the trigger leads from that state; None where it is not allowed."""
    found = MACHINE.get_transitions(str(trigger), source=str(state))
    return ReturnState(str(found[0].dest)) if found else None


def move(state: ReturnState, trigger: ReturnTrigger) -> ReturnState:
    """The state after the trigger. Raises IllegalMove."""
    after = target(state, trigger)
    if after is None:
        raise IllegalMove(f"a return that is {state} cannot {trigger}")
    return after


@cache
def path(state: ReturnState, status: int) -> Sequence[ReturnTrigger] | None:
    """The shortest legal way to the state the marketplace's status names.

    Empty when it is there already, None when no way leads there. Raises KeyError for a status
    this program does not know.
    """
    goal = STATE_OF_STATUS[status]
    ways: deque[tuple[ReturnState, tuple[ReturnTrigger, ...]]] = deque([(state, ())])
    seen = {state}
    while ways:
        here, way = ways.popleft()
        if here is goal:
            return way
        for trigger in ReturnTrigger:
            there = target(here, trigger)
            if there is not None and there not in seen:
                seen.add(there)
                ways.append((there, (*way, trigger)))
    return None
