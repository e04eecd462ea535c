"""The return's state machine: which moves are legal, and the way to what the marketplace says."""

import itertools

import pytest

from statemachine.life import IllegalMove
from statemachine.model import ReturnState
from statemachine.returns import LIFE, STATE_OF_STATUS, ReturnTrigger, move, path, target

S = ReturnState
T = ReturnTrigger

# "Returns (RMA)" of the product page, arrow by arrow.
LEGAL = {
    (S.REQUESTED, T.ACCEPT): S.ACCEPTED,
    (S.REQUESTED, T.REFUSE): S.REFUSED,
    (S.REFUSED, T.ACCEPT): S.ACCEPTED,
    (S.ACCEPTED, T.PAY): S.PAID,
    (S.PAID, T.REFUND): S.REFUNDED,
}
WAYS: dict[ReturnState, dict[int, tuple[ReturnTrigger, ...]]] = {
    S.REQUESTED: {
        2: (),
        3: (T.REFUSE,),
        4: (T.ACCEPT,),
        5: (T.ACCEPT, T.PAY),
        7: (T.ACCEPT, T.PAY, T.REFUND),
    },
    S.REFUSED: {3: (), 4: (T.ACCEPT,), 5: (T.ACCEPT, T.PAY), 7: (T.ACCEPT, T.PAY, T.REFUND)},
    S.ACCEPTED: {4: (), 5: (T.PAY,), 7: (T.PAY, T.REFUND)},
    S.PAID: {5: (), 7: (T.REFUND,)},
    S.REFUNDED: {7: ()},
}


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(S, T)))
def test_a_move_is_legal_exactly_when_it_is_described(
    state: ReturnState, trigger: ReturnTrigger
) -> None:
    described = LEGAL.get((state, trigger))
    assert target(state, trigger) is described
    if described is not None:
        assert move(state, trigger) is described
        return
    with pytest.raises(IllegalMove, match=rf"a return that is {state} cannot {trigger}"):
        move(state, trigger)


@pytest.mark.parametrize(("state", "status"), list(itertools.product(S, sorted(STATE_OF_STATUS))))
def test_the_way_from_every_state_to_every_status(state: ReturnState, status: int) -> None:
    assert path(state, status) == WAYS[state].get(status)


@pytest.mark.parametrize("state", S)
def test_an_unknown_status_has_no_way(state: ReturnState) -> None:
    with pytest.raises(KeyError):
        path(state, 6)


def test_the_machine_begins_with_the_request_and_ends_with_the_refund() -> None:
    assert LIFE.machine.initial == S.REQUESTED
    assert [state.name for state in LIFE.machine.states.values() if state.final] == [S.REFUNDED]
