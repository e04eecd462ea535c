"""What the demo's consumer notices: repeats, gaps, events out of order."""

from typing import Any

import pytest

from daemon.demo.downstream import Receipts


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
