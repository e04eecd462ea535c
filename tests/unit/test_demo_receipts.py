"""What the demo's consumer notices: repeats, gaps, events out of order."""

from typing import Any
from uuid import UUID

import pytest

from daemon.demo.downstream import Receipts
from daemon.demo.verdict import Standing, is_drained
from statemachine.model import OrderState


def event(subject: str, sequence: int) -> dict[str, Any]:
    return {
        "id": f"{subject}-{sequence}",
        "source": "/spartoo/shoes-fr",
        "subject": subject,
        "sequence": sequence,
    }


@pytest.mark.parametrize(
    ("sequences", "repeats", "faults"),
    [
        ([1, 2, 3], 0, 0),
        ([1, 2, 2, 3, 1], 2, 0),
        ([1, 3], 0, 1),
        ([2], 0, 1),
        ([2, 1, 3], 0, 2),
        ([1, 3, 2, 4], 0, 2),
        ([], 0, 0),
    ],
)
def test_sequences_of_one_subject(sequences: list[int], repeats: int, faults: int) -> None:
    receipts = Receipts()
    news = [receipts.note(event("A", sequence)) for sequence in sequences]
    assert receipts.repeats == repeats
    assert len(receipts.faults) == faults
    assert sum(news) == len(set(sequences))


def test_subjects_are_counted_apart() -> None:
    receipts = Receipts()
    for subject in "AB":
        for sequence in (1, 2):
            receipts.note(event(subject, sequence))
    assert receipts.faults == []
    receipts.note(event("B", 4))
    assert receipts.faults == ["/spartoo/shoes-fr B: #4 came where #3 was due"]


@pytest.mark.parametrize(
    ("states", "waiting", "arrived", "drained"),
    [
        ({OrderState.SYNCED: 1, OrderState.PENDING_MANUAL: 1}, 0, True, True),
        ({OrderState.SYNCED: 1}, 0, True, False),  # one is not taken in
        ({OrderState.SYNCED: 1, OrderState.NEW: 1}, 0, True, False),
        ({OrderState.SYNCED: 1, OrderState.ACCEPTED: 1}, 0, True, False),  # one event is to come
        ({OrderState.SYNCED: 1, OrderState.PENDING_MANUAL: 1}, 1, True, False),
        ({OrderState.SYNCED: 1, OrderState.PENDING_MANUAL: 1}, 0, False, False),
    ],
)
def test_the_demo_ends_when_nothing_moves_any_more(
    states: dict[OrderState, int], waiting: int, arrived: bool, drained: bool
) -> None:
    receipts, logged = Receipts(), UUID(int=1)
    if arrived:
        receipts.note(event("a", 1) | {"id": str(logged)})
    assert is_drained(Standing([logged], states, waiting), 2, receipts) is drained
