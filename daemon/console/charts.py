"""Bars as SVG, drawn here: the policy lets no script or style into a page."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 26
_MOST_LABELS = 10
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two counts of one day (or month): what was, and what would be."""

    label: str
    was: int
    would_be: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `kind` is its class."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A label at an axis."""

    position: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything the template writes down."""

    bars: tuple[Bar, ...]
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM


def pairs_chart(pairs: Sequence[Pair]) -> Chart:
    """Two bars a day, side by side, from zero."""
    top = _top(max((max(pair.was, pair.would_be) for pair in pairs), default=0))
    slot = (WIDTH - _LEFT - _RIGHT) / max(len(pairs), 1)
    width = min(slot * 0.4, 26)
    bars = []
    for place, pair in enumerate(pairs):
        middle = _LEFT + slot * (place + 0.5)
        title = f"{pair.label}: {pair.was} accepted, {pair.would_be} would be"
        for kind, x, count in (
            ("was", middle - width, pair.was),
            ("would", middle, pair.would_be),
        ):
            height = _scaled(count, top)
            y = HEIGHT - _BOTTOM - height
            bars.append(Bar(kind, round(x, 1), round(y, 1), round(width, 1), height, title))
    every = -(-len(pairs) // _MOST_LABELS) or 1
    across = tuple(
        Mark(round(_LEFT + slot * (place + 0.5), 1), pair.label)
        for place, pair in enumerate(pairs)
        if place % every == 0
    )
    marks = sorted({0, top // 2, top})
    up = tuple(Mark(HEIGHT - _BOTTOM - _scaled(mark, top), f"{mark:,}") for mark in marks)
    return Chart(tuple(bars), across, up)


def _scaled(count: int, top: int) -> float:
    return round((HEIGHT - _TOP - _BOTTOM) * count / top, 1)


def _top(highest: int) -> int:
    """The round number at or above the highest count."""
    size = 1
    while True:
        for step in _STEPS:
            if step * size >= max(highest, 2):
                return step * size
        size *= 10
