"""Optional traces by OpenTelemetry: from a look, over the calls it leads to, to the confirm.

Off, and nothing of the library imported, unless OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT)
is set. A trace goes on through the database: actions and events keep its `traceparent`. Spans bear
ids of connections, orders and events, never anything of a customer.
"""

import threading
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from adapters.trace import of_each, traceparent

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span, SpanContext, Tracer

log = structlog.get_logger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_STOP_SECONDS = 1.0
_tracer: "Tracer | None" = None  # of the process, as its logging is


@contextmanager
def tracing(environ: Mapping[str, str]) -> Iterator[None]:
    """Trace inside the block if the environment asks for it; what is left is sent at its end."""
    global _tracer  # noqa: PLW0603 - one a process
    provider = _provider() if any(environ.get(name) for name in _ENDPOINTS) else None
    if provider is None:
        yield
        return
    _tracer = provider.get_tracer("spartoo-sync")
    log.info("tracing")
    try:
        yield
    finally:
        _tracer = None
        leaving = threading.Thread(target=provider.shutdown, daemon=True)
        leaving.start()
        leaving.join(_STOP_SECONDS)  # who does not answer must not keep us from stopping


def _provider() -> "TracerProvider | None":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - optional
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - optional
    except ImportError:
        log.warning("not tracing: pip install 'spartoo-order-sync[otel]'")
        return None
    resource = Resource.create({"service.name": "spartoo-sync"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


@contextmanager
def shared_span(name: str, traces: Mapping[Hashable, str | None]) -> Iterator[None]:
    """Work on several orders at once, each in a trace of its own, by its id.

    Where these are several traces, the work has one too, with links to theirs. What is stored of an
    order goes on in its own.
    """
    if _tracer is None:
        yield
        return
    different = list(dict.fromkeys(filter(None, traces.values())))
    alone = different[0] if len(different) == 1 else None
    token = of_each.set(traces)
    try:
        with span(name, alone, [] if alone else different):
            yield
    finally:
        of_each.reset(token)


@contextmanager
def span(
    name: str, parent: str | None = None, linked: Sequence[str] = (), **attributes: str
) -> Iterator[None]:
    """Work as part of a trace: of `parent`, else of the one this task is in, else of a new one.

    `linked`: other traces that wait for it.
    """
    if _tracer is None:
        yield
        return
    context = _context(parent or traceparent.get())
    made = _tracer.start_span(name, context, attributes=attributes, links=_links(linked))
    token = traceparent.set(_written(made))
    trace_id = f"{made.get_span_context().trace_id:032x}"
    try:
        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            yield
    except Exception as error:
        made.set_attribute("error.type", type(error).__name__)  # its text may tell of a person
        raise
    finally:
        traceparent.reset(token)
        made.end()


def note_span(name: str, seconds: float, parent: str | None = None, **attributes: str) -> None:
    """Something that took so long and is over now, as part of a trace."""
    if _tracer is None:
        return
    end = time.time_ns()
    start = end - int(seconds * 1e9)
    context = _context(parent or traceparent.get())
    _tracer.start_span(name, context, attributes=attributes, start_time=start).end(end)


def _written(made: "Span") -> str:
    context = made.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context(parent: str | None) -> "Context | None":
    """The parent as the library takes it; what is no traceparent begins a new trace."""
    from opentelemetry import trace  # noqa: PLC0415 - optional, and here by now

    context = _read(parent)
    return context and trace.set_span_in_context(trace.NonRecordingSpan(context))


def _links(traces: Sequence[str]) -> "list[Link]":
    from opentelemetry.trace import Link  # noqa: PLC0415 - optional, and here by now

    return [Link(context) for context in map(_read, traces) if context is not None]


def _read(parent: str | None) -> "SpanContext | None":
    from opentelemetry import trace  # noqa: PLC0415 - optional, and here by now

    try:
        _, *written = (parent or "").split("-")
        trace_id, span_id, flags = (int(part, 16) for part in written)
    except ValueError:
        return None
    context = trace.SpanContext(
        trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags)
    )
    return context if context.is_valid else None
