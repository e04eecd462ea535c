"""Bars of the console: within the picture, in proportion, with room for their labels."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from daemon.console.charts import Pair, pairs_chart
from daemon.console.settings_form import duration
from statemachine.connection import parse_duration

COUNTS = some.integers(0, 10**7)


@given(some.lists(some.tuples(COUNTS, COUNTS), max_size=62))
def test_bars_stand_inside_and_in_proportion(counts: list[tuple[int, int]]) -> None:
    chart = pairs_chart([Pair(str(n), *pair) for n, pair in enumerate(counts)])
    assert len(chart.bars) == 2 * len(counts)
    assert len(chart.across) <= 10
    for bar in chart.bars:
        assert bar.x >= chart.left - 0.1
        assert bar.x + bar.width <= chart.right + 0.1
        assert bar.y >= 0
        assert bar.height >= 0
        assert bar.y + bar.height == pytest.approx(chart.bottom, abs=0.11)
    highest = max((count for pair in counts for count in pair), default=0)
    assert int(chart.up[-1].text.replace(",", "")) >= highest
    assert [mark.position for mark in chart.up] == sorted(
        (m.position for m in chart.up), reverse=True
    )


@given(some.integers(0, 10**7))
def test_a_duration_is_read_back_as_it_is_written(seconds: int) -> None:
    assert parse_duration(duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(seconds=60), "1m"),
        (timedelta(seconds=90), "90s"),
        (timedelta(hours=24), "24h"),
        (timedelta(days=7), "7d"),
        (timedelta(seconds=0.5), "0.5s"),
        (timedelta(0), "0s"),
    ],
)
def test_durations_read_as_people_write_them(value: timedelta, text: str) -> None:
    assert duration(value) == text
