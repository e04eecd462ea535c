"""What can happen to a return, and what a step of it produces, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from statemachine.changes import Action, Event
from statemachine.model import ActionKind, MarketplaceReturn, Return, ReturnState


@dataclass(frozen=True, slots=True)
class ReturnSeen:
    """The marketplace described the return; the reading was asked for at `read_at`."""

    returned: MarketplaceReturn
    read_at: datetime


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """A label somebody gave: its link, if it is one, and a digest that names it."""

    digest: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class AcceptReturn:
    by: str
    label: GivenLabel | None = None


@dataclass(frozen=True, slots=True)
class RefuseReturn:
    by: str
    label: GivenLabel | None = None


@dataclass(frozen=True, slots=True)
class LabelReturn:
    by: str
    label: GivenLabel


@dataclass(frozen=True, slots=True)
class ReturnActionCarriedOut:
    """The marketplace did what the action asked, or had done so; `label` is what it took."""

    kind: ActionKind
    by: str
    label: GivenLabel | None = None


@dataclass(frozen=True, slots=True)
class ReturnActionRejected:
    """The marketplace will not do it; nothing is gained by asking again."""

    kind: ActionKind
    code: str
    message: str
    label: GivenLabel | None = None


ReturnCommand = AcceptReturn | RefuseReturn | LabelReturn
ReturnFact = ReturnSeen | ReturnCommand | ReturnActionCarriedOut | ReturnActionRejected


class UnknownReturnStatus(Exception):
    """A return first seen in a status this program does not know: quarantined, not guessed."""

    def __init__(self, status: int):
        super().__init__(f"return_status is {status}; known are 2, 3, 4, 5, 7")


@dataclass(frozen=True, slots=True)
class ReturnTransition:
    """One move of a return; `from_state` is None when it was first seen."""

    from_state: ReturnState | None
    to_state: ReturnState
    trigger: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ReturnChanges:
    """All that one step of one return changes; stored in one transaction, or not at all."""

    returned: Return
    created: bool = False
    touched: bool = True  # False: nothing to store
    stale: bool = False  # the reading was older than what we know
    history: tuple[ReturnTransition, ...] = ()
    events: tuple[Event, ...] = ()
    actions: tuple[Action, ...] = ()
    settled: Mapping[ActionKind, str] = field(default_factory=dict)  # kind → done|failed|superseded
    keeps_label: bool = False  # the label of this command is to be stored for its action
    answer: Literal["done", "queued"] = "done"
