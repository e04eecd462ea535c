"""step_return(return, fact) → changes: the one place that says what a fact does to a return.

Invariants: a return moves only along its state machine; an action is queued once while it waits,
and the label it carries is always the one given last. Connections that synchronize stock only
neither read returns nor obey commands on them.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, assert_never

from statemachine.changes import Action, Event
from statemachine.connection import ConnectionSettings, SyncLevel
from statemachine.dates import may_be_older
from statemachine.facts import Refused
from statemachine.model import (
    ActionKind,
    ActionStatus,
    ConnectionId,
    MarketplaceReturn,
    Problem,
    Return,
    ReturnState,
)
from statemachine.return_events import return_event
from statemachine.return_facts import (
    AcceptReturn,
    GivenLabel,
    LabelReturn,
    RefuseReturn,
    ReturnActionCarriedOut,
    ReturnActionRejected,
    ReturnChanges,
    ReturnCommand,
    ReturnFact,
    ReturnSeen,
    ReturnTransition,
    UnknownReturnStatus,
)
from statemachine.returns import (
    FULFILLED,
    LABELLED_IN,
    STATE_OF_STATUS,
    STATUS_WANTED,
    TRIGGER_OF,
    ReturnTrigger,
    move,
    path,
    target,
)

MARKETPLACE = "marketplace"

_UNEXPECTED = "unexpected_status"
_OPEN = (ActionStatus.PENDING, ActionStatus.FAILED)


class _Draft:
    """Collects what one step does to one return; only this class writes its fields."""

    def __init__(self, returned: Return, now: datetime, *, created: bool = False):
        self.returned = returned
        self.now = now
        self.keeps_label = False
        self._before = returned
        self._created = created
        self._history: list[ReturnTransition] = []
        self._events: list[Event] = []
        self._actions: list[Action] = []
        self._settled: dict[ActionKind, str] = {}

    def set(self, **fields: Any) -> None:
        self.returned = replace(self.returned, **fields)

    def begin(self) -> None:
        """The return is seen for the first time."""
        self._tell(None, "see", MARKETPLACE)

    def move(self, trigger: ReturnTrigger, by: str) -> None:
        """Take one transition, with its history and event. Raises IllegalMove."""
        before = self.returned.state
        self.set(state=move(before, trigger))
        self._tell(before, trigger, by)

    def _tell(self, before: ReturnState | None, trigger: str, by: str) -> None:
        transition = ReturnTransition(before, self.returned.state, str(trigger), by, self.now)
        self._history.append(transition)
        self._events.append(return_event(self.returned, transition))

    def queue(self, kind: ActionKind, by: str) -> None:
        """Store an intention for the marketplace; once while it waits."""
        if not self.returned.waits_for(kind):
            self._actions.append(Action(kind, by=by))
            self.set(actions={**self.returned.actions, kind: ActionStatus.PENDING})

    def settle(self, kind: ActionKind, status: ActionStatus) -> None:
        """An intention is carried out, failed, or no longer wanted; its trouble is over."""
        self._settled[kind] = str(status)
        self.set(actions={**self.returned.actions, kind: status})
        if self.returned.problem is not None and self.returned.problem.action == kind:
            self.set(problem=None)

    def trouble(self, code: str, message: str, action: ActionKind | None = None) -> None:
        """A person must look."""
        known = self.returned.problem
        if known is None or (known.code, known.message) != (code, message):
            self.set(problem=Problem(code, message, action, self.now))

    def is_open(self, kind: ActionKind) -> bool:
        return self.returned.actions.get(kind) in _OPEN

    def finish(self, answer: Literal["done", "queued"] = "done") -> ReturnChanges:
        return ReturnChanges(
            returned=self.returned,
            created=self._created,
            touched=self._created or self.returned != self._before or bool(self._actions),
            history=tuple(self._history),
            events=tuple(self._events),
            actions=tuple(self._actions),
            settled=dict(self._settled),
            keeps_label=self.keeps_label,
            answer=answer,
        )


def return_first_sight(
    fact: ReturnSeen, settings: ConnectionSettings, now: datetime
) -> ReturnChanges:
    """A return nobody knew. Raises UnknownReturnStatus, before which nothing is stored."""
    if fact.returned.status not in STATE_OF_STATUS:
        raise UnknownReturnStatus(fact.returned.status)
    returned = Return(
        connection=ConnectionId(settings.id),
        facts=fact.returned,
        state=ReturnState.REQUESTED,
        first_seen_at=now,
        changed_at=now,
    )
    draft = _Draft(returned, now, created=True)
    draft.begin()
    _walk(draft)
    return draft.finish()


def step_return(
    returned: Return, fact: ReturnFact, settings: ConnectionSettings, now: datetime
) -> ReturnChanges:
    """What the fact does to the return. A command that may not be raises Refused."""
    draft = _Draft(returned, now)
    match fact:
        case ReturnSeen():
            return _seen(draft, fact)
        case ReturnActionCarriedOut():
            return _carried_out(draft, fact)
        case ReturnActionRejected():
            return _rejected(draft, fact)
        case _:
            return _obey(draft, fact, settings)


# --- what the marketplace says -----------------------------------------------------------------


def _seen(draft: _Draft, fact: ReturnSeen) -> ReturnChanges:
    """Follow the marketplace; a reading older than what we know is told nothing by."""
    returned = draft.returned
    if fact.read_at <= returned.changed_at or (
        may_be_older(fact.read_at, returned.changed_at) and _contradicts(returned, fact.returned)
    ):
        return ReturnChanges(returned, touched=False, stale=True)
    if fact.returned != returned.facts:
        draft.set(facts=fact.returned, changed_at=draft.now)
    _walk(draft)
    return draft.finish()


def _contradicts(returned: Return, seen: MarketplaceReturn) -> bool:
    """True when no way leads from where the return stands to what was read."""
    return seen.status in STATE_OF_STATUS and path(returned.state, seen.status) is None


def _walk(draft: _Draft) -> None:
    """Go through every state between ours and the marketplace's, in turn."""
    state, status = draft.returned.state, draft.returned.facts.status
    try:
        way = path(state, status)
    except KeyError:
        draft.trouble(_UNEXPECTED, f"Spartoo says status {status}, which is not known here")
        return
    if way is None:
        message = f"Spartoo says status {status}, but the return is {state} here"
        draft.trouble(_UNEXPECTED, message)
        return
    for trigger in way:
        draft.move(trigger, MARKETPLACE)
    if draft.returned.problem is not None and draft.returned.problem.code == _UNEXPECTED:
        draft.set(problem=None)
    _settle_moot_actions(draft)


def _settle_moot_actions(draft: _Draft) -> None:
    """Decisions, waiting or failed, that what was seen has fulfilled or made impossible."""
    for kind, states in FULFILLED.items():
        state = draft.returned.state
        if draft.is_open(kind) and state in states:
            draft.settle(kind, ActionStatus.DONE)
        elif draft.returned.waits_for(kind) and target(state, TRIGGER_OF[kind]) is None:
            draft.settle(kind, ActionStatus.FAILED)
            message = f"too late to {TRIGGER_OF[kind]}: Spartoo says the return is {state}"
            draft.trouble("wrong_chronology", message, kind)


# --- commands ----------------------------------------------------------------------------------


def _obey(draft: _Draft, command: ReturnCommand, settings: ConnectionSettings) -> ReturnChanges:
    if not settings.active:
        message = f"connection {settings.id} is disabled; activate it first"
        raise Refused("connection_disabled", message)
    if settings.sync_level is SyncLevel.STOCK_ONLY:
        message = f"connection {settings.id} synchronizes stock only (sync_level)"
        raise Refused("stock_only", message)
    match command:
        case AcceptReturn():
            return _decide(draft, ActionKind.RETURN_ACCEPT, command, "accepted")
        case RefuseReturn():
            return _decide(draft, ActionKind.RETURN_REFUSE, command, "refused")
        case LabelReturn():
            _label(draft, command.label, command.by)
        case _:
            assert_never(command)
    waits = draft.returned.waits_for(ActionKind.RETURN_LABEL)
    return draft.finish("queued" if waits else "done")


def _decide(
    draft: _Draft, kind: ActionKind, command: AcceptReturn | RefuseReturn, wanted: str
) -> ReturnChanges:
    """Queue one decision and give up the other; a label given along goes first."""
    if target(draft.returned.state, TRIGGER_OF[kind]) is None:
        raise _wrong_state(draft.returned, wanted)
    if command.label is not None:
        _label(draft, command.label, command.by)
    if not draft.returned.waits_for(kind):
        for other in TRIGGER_OF:
            if other is not kind and draft.is_open(other):
                draft.settle(other, ActionStatus.SUPERSEDED)
        draft.set(touched_by=command.by, problem=None)
        draft.queue(kind, command.by)
    return draft.finish("queued")


def _label(draft: _Draft, label: GivenLabel, by: str) -> None:
    """Have the label sent, unless it is on its way or was taken."""
    kind, returned = ActionKind.RETURN_LABEL, draft.returned
    if returned.state not in LABELLED_IN:
        raise _wrong_state(returned, "labelled")
    status = returned.actions.get(kind)
    same = returned.label_digest == label.digest
    if same and status in (ActionStatus.PENDING, ActionStatus.DONE):
        return
    draft.keeps_label = True
    draft.set(label_digest=label.digest, touched_by=by, problem=None)
    draft.queue(kind, by)


def _wrong_state(returned: Return, wanted: str) -> Refused:
    state = returned.state
    allowed = [str(t) for t in TRIGGER_OF.values() if target(state, t) is not None]
    allowed += ["label"] if state in LABELLED_IN else []
    possible = ", ".join(allowed) or "nothing"
    message = f"return {returned.id} is {state}: it cannot be {wanted}; possible: {possible}"
    return Refused("wrong_state", message)


# --- outcomes ----------------------------------------------------------------------------------


def _carried_out(draft: _Draft, fact: ReturnActionCarriedOut) -> ReturnChanges:
    """The marketplace's word for our own action: the fact it asked for is now true."""
    if fact.label is not None:
        _label_taken(draft, fact.label)
        return draft.finish()
    draft.settle(fact.kind, ActionStatus.DONE)
    trigger = TRIGGER_OF[fact.kind]
    if target(draft.returned.state, trigger) is not None:
        facts = replace(draft.returned.facts, status=STATUS_WANTED[fact.kind])
        draft.set(facts=facts, changed_at=draft.now)
        draft.move(trigger, fact.by)
        _settle_moot_actions(draft)
    return draft.finish()


def _label_taken(draft: _Draft, label: GivenLabel) -> None:
    """Another label given meanwhile keeps the action waiting: it is sent next."""
    draft.set(label_link=label.link, has_label=True)
    if label.digest == draft.returned.label_digest:
        draft.settle(ActionKind.RETURN_LABEL, ActionStatus.DONE)


def _rejected(draft: _Draft, fact: ReturnActionRejected) -> ReturnChanges:
    """Keep the state; a person must look, unless what was seen has made the action moot."""
    _settle_moot_actions(draft)
    replaced = fact.label is not None and fact.label.digest != draft.returned.label_digest
    if draft.returned.waits_for(fact.kind) and not replaced:
        draft.settle(fact.kind, ActionStatus.FAILED)
        draft.trouble(fact.code, fact.message, fact.kind)
    return draft.finish()
