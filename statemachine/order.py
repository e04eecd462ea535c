"""The life of an order as a state machine, and the legal path through steps nobody saw.

Invariant: an order only ever moves along these transitions, one at a time, so consumers see a
legal path whatever happened on the marketplace between two looks.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import cache

from statemachine.life import Life
from statemachine.model import ActionKind, OrderState, SpartooStatus


class Trigger(StrEnum):
    HOLD = "hold"
    ACCEPT = "accept"
    SYNC = "sync"
    RECORD = "record"  # stock_only: nothing to decide, nothing to publish
    SHIP = "ship"
    CANCEL = "cancel"
    LOSE = "lose"
    UNDELIVER = "undeliver"


_S = OrderState

TRANSITIONS: tuple[tuple[Trigger, tuple[OrderState, ...], OrderState], ...] = (
    (Trigger.HOLD, (_S.NEW,), _S.PENDING_MANUAL),
    (Trigger.ACCEPT, (_S.NEW, _S.PENDING_MANUAL), _S.ACCEPTED),
    (Trigger.SYNC, (_S.ACCEPTED,), _S.SYNCED),
    (Trigger.RECORD, (_S.NEW, _S.PENDING_MANUAL), _S.SYNCED),
    # accepted → shipped: shipped before the broker took order.accepted
    (Trigger.SHIP, (_S.ACCEPTED, _S.SYNCED), _S.SHIPPED),
    (
        Trigger.CANCEL,
        (_S.NEW, _S.PENDING_MANUAL, _S.ACCEPTED, _S.SYNCED, _S.LOST, _S.UNDELIVERED),
        _S.CANCELLED,
    ),
    (Trigger.LOSE, (_S.SHIPPED,), _S.LOST),
    (Trigger.UNDELIVER, (_S.SHIPPED,), _S.UNDELIVERED),
)

FINAL = frozenset({_S.CANCELLED})

# Which states agree with what the marketplace says (web-service page, "Order statuses").
STATES_OF_STATUS: dict[int, frozenset[OrderState]] = {
    SpartooStatus.VERIFIED: frozenset({_S.NEW, _S.PENDING_MANUAL}),
    SpartooStatus.IN_PREPARATION: frozenset({_S.ACCEPTED, _S.SYNCED}),
    SpartooStatus.SHIPPED: frozenset({_S.SHIPPED}),
    SpartooStatus.CANCELLED: frozenset({_S.CANCELLED}),
    SpartooStatus.LOST: frozenset({_S.LOST}),
    SpartooStatus.NOT_DELIVERED: frozenset({_S.UNDELIVERED}),
}

# What a marketplace's status of an order says that a carrier has, or had.
GIVEN_TO_CARRIER = frozenset(
    {SpartooStatus.SHIPPED, SpartooStatus.LOST, SpartooStatus.NOT_DELIVERED}
)

# What an action asks the marketplace for, the move that follows, and where that has happened.
TRIGGER_OF = {
    ActionKind.ACCEPT: Trigger.ACCEPT,
    ActionKind.CANCEL: Trigger.CANCEL,
    ActionKind.SHIP: Trigger.SHIP,
    ActionKind.LOSE: Trigger.LOSE,
    ActionKind.UNDELIVER: Trigger.UNDELIVER,
}
STATUS_WANTED = {
    ActionKind.ACCEPT: SpartooStatus.IN_PREPARATION,
    ActionKind.CANCEL: SpartooStatus.CANCELLED,
    ActionKind.SHIP: SpartooStatus.SHIPPED,
    ActionKind.LOSE: SpartooStatus.LOST,
    ActionKind.UNDELIVER: SpartooStatus.NOT_DELIVERED,
}
_LEFT = frozenset({_S.SHIPPED, _S.LOST, _S.UNDELIVERED})
FULFILLED = {
    ActionKind.ACCEPT: _LEFT | {_S.ACCEPTED, _S.SYNCED},
    ActionKind.CANCEL: frozenset({_S.CANCELLED}),
    ActionKind.SHIP: _LEFT,
    ActionKind.LOSE: frozenset({_S.LOST}),
    ActionKind.UNDELIVER: frozenset({_S.UNDELIVERED}),
}

# What the marketplace can cause; holding, syncing and recording are ours alone.
_CAUSED_OUTSIDE = (
    Trigger.ACCEPT,
    Trigger.SHIP,
    Trigger.CANCEL,
    Trigger.LOSE,
    Trigger.UNDELIVER,
)


LIFE = Life("an order", Trigger, TRANSITIONS, initial=_S.NEW, final=FINAL)
target, move = LIFE.target, LIFE.move


@cache
def path(state: OrderState, status: int) -> Sequence[Trigger] | None:
    """The shortest legal way to a state that agrees with the marketplace's status.

    Empty when the state agrees already, None when no way leads there. Raises KeyError for a
    status this program does not know. A shipped order is cancelled by way of a parcel that was lost
    or came back: which of the two is not known, so a person must look.
    """
    if state is OrderState.SHIPPED and status == SpartooStatus.CANCELLED:
        return None
    return LIFE.path(state, STATES_OF_STATUS[status], _CAUSED_OUTSIDE)
