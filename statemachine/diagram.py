"""The order's state machine as a Mermaid drawing, from the tables that every step goes by.

The `transitions` library draws too, but needs a model, colours every state and marks no end.
"""

from collections.abc import Iterator

from statemachine.model import OrderState
from statemachine.order import FINAL, LIFE, TRANSITIONS


def mermaid(current: OrderState | None = None) -> str:
    """A `stateDiagram-v2`; the current state, if any, stands out."""
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in _lines(current))]) + "\n"


def _lines(current: OrderState | None) -> Iterator[str]:
    yield f"[*] --> {LIFE.machine.initial}"
    for trigger, sources, target in TRANSITIONS:
        for source in sources:
            yield f"{source} --> {target}: {trigger}"
    for state in OrderState:
        if state in FINAL:
            yield f"{state} --> [*]"
    if current is not None:
        yield "classDef current font-weight:bold,stroke-width:4px"
        yield f"class {current} current"
