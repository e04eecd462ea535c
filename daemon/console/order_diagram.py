"""The state machine as a drawing, laid out from the machine's own transitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from statemachine.changes import Transition
from statemachine.model import OrderState
from statemachine.order import TRANSITIONS

WIDTH, STEP, TOP = 360, 54, 8
BOX_WIDTH, BOX_HEIGHT = 116, 28
LEFT, RIGHT = 46, 212
ENDS = (OrderState.CANCELLED, OrderState.LOST, OrderState.UNDELIVERED)
BEND = 13  # how much further out each longer way round goes


@dataclass(frozen=True, slots=True)
class Box:
    """A state; `mark` is now, was or nothing."""

    state: OrderState
    x: float
    y: float
    mark: str


@dataclass(frozen=True, slots=True)
class Way:
    """A transition; `path` is its line as SVG has it."""

    name: str
    path: str
    mark: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """What the template draws."""

    width: int
    height: float
    boxes: Sequence[Box]
    ways: Sequence[Way]


def diagram(now: OrderState, history: Sequence[Transition]) -> Diagram:
    """The machine with the present state, and the way that led to it, marked."""
    places = _places()
    gone = {(move.from_state, move.to_state) for move in history}
    been = {move.to_state for move in history}
    boxes = [
        Box(state, x, y, "now" if state is now else "was" if state in been else "")
        for state, (x, y) in places.items()
    ]
    ways = [
        Way(
            f"{trigger}: {source} → {target}".replace("_", " "),
            _line(places, source, target),
            "was" if (source, target) in gone else "",
        )
        for trigger, sources, target in TRANSITIONS
        for source in sources
    ]
    height = max(y for _, y in places.values()) + BOX_HEIGHT + TOP
    return Diagram(WIDTH, height, boxes, sorted(ways, key=lambda way: way.mark))


@cache
def _ranks() -> dict[OrderState, int]:
    """How many steps at most lead to each state."""
    ranks = dict.fromkeys(OrderState, 0)
    for _ in OrderState:
        for _, sources, target in TRANSITIONS:
            ranks[target] = max(ranks[target], *(ranks[source] + 1 for source in sources))
    return ranks


@cache
def _places() -> dict[OrderState, tuple[float, float]]:
    """The way of an order downwards on the left; where it ends on the right, beside its sources."""
    ranks = _ranks()
    places = {s: (float(LEFT), TOP + STEP * float(ranks[s])) for s in OrderState if s not in ENDS}
    lowest = TOP - float(STEP)
    for state in sorted(ENDS, key=lambda s: (_beside(places, s), s)):
        y = max(_beside(places, state), lowest + STEP)
        places[state] = (float(RIGHT), y)
        lowest = y
    return places


def _beside(places: dict[OrderState, tuple[float, float]], state: OrderState) -> float:
    """The middle height of the states that lead to this one."""
    leading = [s for _, sources, target in TRANSITIONS if target is state for s in sources]
    sources = [source for source in leading if source not in ENDS]
    return sum(places[source][1] for source in sources) / len(sources)


def _line(
    places: dict[OrderState, tuple[float, float]], source: OrderState, target: OrderState
) -> str:
    (x1, y1), (x2, y2) = places[source], places[target]
    m1, m2 = y1 + BOX_HEIGHT / 2, y2 + BOX_HEIGHT / 2
    if y2 < y1:  # from one end to another, round the outside
        x1, x2 = x1 + BOX_WIDTH, x2 + BOX_WIDTH
        out = x1 + BEND * (y1 - y2) / STEP
        return f"M{x1} {m1} C{out} {m1 - 10} {out} {m2 + 10} {x2 + 2} {m2}"
    if x1 != x2:  # to an end
        x1 += BOX_WIDTH
        return f"M{x1} {m1} C{x2 - 34} {m1} {x1 + 34} {m2} {x2 - 2} {m2}"
    if y2 - y1 <= STEP:  # to the next
        middle = x1 + BOX_WIDTH / 2
        return f"M{middle} {y1 + BOX_HEIGHT} L{middle} {y2 - 2}"
    out = x1 - BEND * (y2 - y1) / STEP
    return f"M{x1} {m1} C{out} {m1 + 10} {out} {m2 - 10} {x1 - 2} {m2}"
