"""The trace this task works in, as W3C `traceparent`; adapters store it and hand it on."""

from collections.abc import Hashable, Mapping
from contextvars import ContextVar

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
# Where several orders are worked on at once: the trace of each, by its id.
of_each: ContextVar[Mapping[Hashable, str | None] | None] = ContextVar("of each", default=None)


def traceparent_of(subject: str | None) -> str | None:
    """The trace in which what is stored about this order, or return, goes on."""
    traces = of_each.get()
    return (traces and traces.get(subject)) or traceparent.get()
