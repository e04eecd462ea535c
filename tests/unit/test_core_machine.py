"""The order's state machine: which moves are legal, and the way to what the marketplace says."""

import itertools
import re

import pytest

from statemachine.diagram import mermaid
from statemachine.life import IllegalMove, Life
from statemachine.model import OrderState, SpartooStatus
from statemachine.order import (
    FINAL,
    LIFE,
    STATES_OF_STATUS,
    TRANSITIONS,
    Trigger,
    move,
    path,
    target,
)

S = OrderState
T = Trigger

# The drawing of "The life of an order", arrow by arrow.
LEGAL = {
    (S.NEW, T.HOLD): S.PENDING_MANUAL,
    (S.NEW, T.ACCEPT): S.ACCEPTED,
    (S.NEW, T.RECORD): S.SYNCED,
    (S.NEW, T.CANCEL): S.CANCELLED,
    (S.PENDING_MANUAL, T.RECORD): S.SYNCED,
    (S.LOST, T.CANCEL): S.CANCELLED,
    (S.UNDELIVERED, T.CANCEL): S.CANCELLED,
    (S.PENDING_MANUAL, T.ACCEPT): S.ACCEPTED,
    (S.PENDING_MANUAL, T.CANCEL): S.CANCELLED,
    (S.ACCEPTED, T.SYNC): S.SYNCED,
    (S.ACCEPTED, T.SHIP): S.SHIPPED,
    (S.ACCEPTED, T.CANCEL): S.CANCELLED,
    (S.SYNCED, T.SHIP): S.SHIPPED,
    (S.SYNCED, T.CANCEL): S.CANCELLED,
    (S.SHIPPED, T.LOSE): S.LOST,
    (S.SHIPPED, T.UNDELIVER): S.UNDELIVERED,
}


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(S, T)))
def test_a_move_is_legal_exactly_when_it_is_drawn(state: OrderState, trigger: Trigger) -> None:
    drawn = LEGAL.get((state, trigger))
    assert target(state, trigger) is drawn
    if drawn is not None:
        assert move(state, trigger) is drawn
        return
    with pytest.raises(IllegalMove, match=rf"an order that is {state} cannot {trigger}"):
        move(state, trigger)


def test_final_states_lead_nowhere_and_the_others_lead_on() -> None:
    assert {state for state in S if not any(target(state, t) for t in T)} == FINAL


def test_every_status_of_the_marketplace_has_its_states_and_no_state_has_two() -> None:
    states = [state for group in STATES_OF_STATUS.values() for state in group]
    assert sorted(STATES_OF_STATUS) == [2, 3, 11, 41, 45, 47]
    assert sorted(states) == sorted(S)


IN_PREPARATION, SHIPPED = SpartooStatus.IN_PREPARATION, SpartooStatus.SHIPPED
VERIFIED, CANCELLED = SpartooStatus.VERIFIED, SpartooStatus.CANCELLED
LOST, NOT_DELIVERED = SpartooStatus.LOST, SpartooStatus.NOT_DELIVERED

UNDECIDED = {
    VERIFIED: (),
    IN_PREPARATION: (T.ACCEPT,),
    SHIPPED: (T.ACCEPT, T.SHIP),
    CANCELLED: (T.CANCEL,),
    LOST: (T.ACCEPT, T.SHIP, T.LOSE),
    NOT_DELIVERED: (T.ACCEPT, T.SHIP, T.UNDELIVER),
}
GRANTED = {
    IN_PREPARATION: (),
    SHIPPED: (T.SHIP,),
    CANCELLED: (T.CANCEL,),
    LOST: (T.SHIP, T.LOSE),
    NOT_DELIVERED: (T.SHIP, T.UNDELIVER),
}
WAYS: dict[OrderState, dict[int, tuple[Trigger, ...]]] = {
    S.NEW: UNDECIDED,
    S.PENDING_MANUAL: UNDECIDED,
    S.ACCEPTED: GRANTED,
    S.SYNCED: GRANTED,
    S.SHIPPED: {SHIPPED: (), LOST: (T.LOSE,), NOT_DELIVERED: (T.UNDELIVER,)},
    S.CANCELLED: {CANCELLED: ()},
    S.LOST: {LOST: (), CANCELLED: (T.CANCEL,)},
    S.UNDELIVERED: {NOT_DELIVERED: (), CANCELLED: (T.CANCEL,)},
}


@pytest.mark.parametrize(("state", "status"), list(itertools.product(S, sorted(STATES_OF_STATUS))))
def test_the_way_from_every_state_to_every_status(state: OrderState, status: int) -> None:
    assert path(state, status) == WAYS[state].get(status)


@pytest.mark.parametrize("state", S)
def test_an_unknown_status_has_no_way_not_even_none(state: OrderState) -> None:
    with pytest.raises(KeyError):
        path(state, 99)


# --- the drawing ---------------------------------------------------------------------------------


def test_the_diagram_draws_the_machine_and_nothing_else() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (\w+)$", mermaid(), re.MULTILINE)
    machine = [
        (transition.source, transition.dest, name)
        for name, event in LIFE.machine.events.items()
        for transition in itertools.chain(*event.transitions.values())
    ]
    assert len(drawn) == sum(len(sources) for _, sources, _ in TRANSITIONS)
    assert sorted(drawn) == sorted(machine)


def test_the_diagram_shows_where_a_life_begins_and_ends() -> None:
    lines = [text.strip() for text in mermaid().splitlines()]
    assert lines[:2] == ["stateDiagram-v2", "[*] --> new"]
    ends = {text.removesuffix(" --> [*]") for text in lines if text.endswith("--> [*]")}
    assert ends == {"cancelled"}


def test_the_diagram_marks_one_state_when_asked() -> None:
    assert "class" not in mermaid()
    marked = mermaid(S.PENDING_MANUAL)
    assert marked.startswith(mermaid())
    assert marked.splitlines()[-1].strip() == "class pending_manual current"


# --- a life of its own: the order's is built once, when the module is imported ------------------


def order_life() -> Life[OrderState, Trigger]:
    """Built in the test, so that a change of how it is built is noticed."""
    return Life("an order", Trigger, TRANSITIONS, S.NEW, FINAL)


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(S, T)))
def test_a_life_that_is_built_now_has_the_same_moves(state: OrderState, trigger: Trigger) -> None:
    assert order_life().target(state, trigger) is LEGAL.get((state, trigger))


def test_a_life_names_its_noun_its_first_and_its_last_states() -> None:
    life = order_life()
    with pytest.raises(IllegalMove, match=r"^an order that is shipped cannot accept$"):
        life.move(S.SHIPPED, T.ACCEPT)
    machine = life.machine
    assert machine.initial == str(S.NEW)
    assert {name for name, state in machine.states.items() if state.final} == {*map(str, FINAL)}
    assert set(machine.states) == {*map(str, S)}
    assert set(machine.events) == {*map(str, T)}
    assert machine.models == []


def test_the_shortest_way_is_found_by_the_triggers_that_are_given() -> None:
    life = order_life()
    assert life.path(S.NEW, {S.NEW}, T) == ()
    assert life.path(S.NEW, {S.SHIPPED}, T) == (T.ACCEPT, T.SHIP)
    assert life.path(S.NEW, {S.SHIPPED}, (T.SHIP, T.HOLD, T.ACCEPT)) == (T.ACCEPT, T.SHIP)
    assert life.path(S.NEW, {S.LOST, S.SYNCED}, (T.HOLD, T.ACCEPT, T.SYNC)) == (T.ACCEPT, T.SYNC)
    assert life.path(S.NEW, {S.SHIPPED}, (T.HOLD, T.CANCEL)) is None
    assert life.path(S.CANCELLED, {S.NEW}, T) is None
