"""What the relay has read of the log: how far it reads past an event that is not confirmed."""

from datetime import UTC, datetime
from uuid import UUID

from adapters.ports import LoggedEvent
from daemon.relay import LOOKAHEAD, Window
from statemachine.changes import EventType


def event(position: int) -> LoggedEvent:
    return LoggedEvent(
        position=position,
        id=UUID(int=position),
        type=EventType.ORDER_NEW,
        source="/spartoo/shoes-fr",
        subject=str(position),
        sequence=1,
        time=datetime(2026, 11, 20, tzinfo=UTC),
        data=b"{}",
        connection="shoes-fr",
        order_id=str(position),
        catalog=None,
        traceparent=None,
    )


def test_an_event_the_broker_refuses_bounds_what_is_published_past_it() -> None:
    window = Window(0)
    window.take([event(position) for position in range(1, 101)])
    assert window.room == LOOKAHEAD - 100
    for position in range(2, 101):
        del window.waiting[position]  # confirmed, but for the first
    assert (window.confirmed_to, window.room) == (0, LOOKAHEAD - 100)
    del window.waiting[1]
    assert (window.confirmed_to, window.room) == (100, LOOKAHEAD)


def test_a_gap_counts_as_unconfirmed_until_it_is_closed() -> None:
    window = Window(0)
    missing = window.take([event(1), event(4)])
    assert missing == [2, 3]
    window.gaps.update(dict.fromkeys(missing, 7))
    window.waiting.clear()
    assert window.confirmed_to == 1
    window.fill([event(3)])
    window.close([2])
    assert (window.confirmed_to, list(window.waiting)) == (2, [3])
