"""The trace this task works in, as W3C `traceparent`; adapters store it and hand it on."""

from contextvars import ContextVar

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
