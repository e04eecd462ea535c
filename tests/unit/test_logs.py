"""Logs: one format for all, and no secrets in any of them."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import structlog
from aiohttp.http_exceptions import BadStatusLine, LineTooLong

from daemon.logs import configure_logging, mask

SECRET = "5ecre7va1ue"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers, level = logging.root.handlers, logging.root.level
    yield
    logging.captureWarnings(capture=False)
    logging.root.handlers, logging.root.level = handlers, level
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_own_and_library_records_share_one_shape() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    structlog.get_logger("daemon.poller").info("orders stored", connection="shoes-fr", count=3)
    logging.getLogger("aiohttp.server").warning("slow %s", "client")
    own, library = logged(stream)
    assert own == {
        "event": "orders stored",
        "level": "info",
        "logger": "daemon.poller",
        "connection": "shoes-fr",
        "count": 3,
        "timestamp": own["timestamp"],
    }
    assert library["event"] == "slow client"
    assert library["level"] == "warning"
    assert library["logger"] == "aiohttp.server"
    for record in (own, library):
        assert datetime.fromisoformat(record["timestamp"]).tzinfo == UTC


def test_a_file_name_that_is_no_text_costs_no_line() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    structlog.get_logger("daemon.uploads").info(
        "imported", file=b"caf\xe9.csv".decode("ascii", "surrogateescape")
    )
    (line,) = logged(stream)
    assert line["file"] == "caf\udce9.csv"


def test_format_follows_the_stream() -> None:
    plain, terminal = io.StringIO(), Terminal()
    configure_logging(stream=plain)
    structlog.get_logger().info("x happened")
    configure_logging(stream=terminal)
    structlog.get_logger().info("y happened")
    assert logged(plain)[0]["event"] == "x happened"
    assert "y happened" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_level_holds_for_all_and_libraries_never_dump_messages() -> None:
    stream = io.StringIO()
    configure_logging("json", "warning", stream)
    structlog.get_logger().info("own")
    logging.getLogger("alembic").info("library")
    assert stream.getvalue() == ""
    configure_logging("json", "debug", stream)
    structlog.get_logger().debug("own")
    logging.getLogger("aio_pika.exchange").debug("message body")
    assert [record["event"] for record in logged(stream)] == ["own"]


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": SECRET},
        {"partenaire": SECRET},
        {"http_token": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"connection": {"id": "a", "api_key": SECRET}},
        {"requests": [{"form": {"partenaire": SECRET}}]},
        {"url": f"postgresql://user:{SECRET}@db/orders"},
        {"error": ValueError(f"cannot reach amqp://user:{SECRET}@mq//")},
        {"body": f"partenaire={SECRET}&oID=5"},
        {"header": f"Authorization: Basic {SECRET}"},
    ],
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_hidden(fields: dict[str, Any], log_format: Any) -> None:
    stream = io.StringIO()
    configure_logging(log_format, "info", stream)
    structlog.get_logger().info("called", **fields)
    assert SECRET not in stream.getvalue()
    assert "***" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_hidden_in_tracebacks_and_library_records(log_format: Any) -> None:
    stream = io.StringIO()
    configure_logging(log_format, "info", stream)
    api_key = SECRET  # a local variable of the failing frame
    try:
        raise ConnectionError(f"no answer from amqp://user:{api_key}@mq")
    except ConnectionError:
        structlog.get_logger().exception("publishing failed")
        logging.getLogger("aio_pika").exception("failed: amqp://user:%s@mq", api_key)
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count("ConnectionError: no answer from amqp://***@mq") == 2


def test_values_of_every_kind_become_json() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    structlog.get_logger().info(
        "seen",
        price=Decimal("64.990"),
        at=datetime(2026, 11, 20, tzinfo=UTC),
        pair=(1, "é"),
        none=None,
        api_key=None,
    )
    (record,) = logged(stream)
    assert record["price"] == "64.990"
    assert record["at"] == "2026-11-20T00:00:00+00:00"
    assert record["pair"] == [1, "é"]
    assert record["none"] is record["api_key"] is None


def test_requests_that_are_no_http_are_no_errors_of_ours() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    server = logging.getLogger("aiohttp.server")
    for error in (LineTooLong(b"/orders?q=Ada", 8190), BadStatusLine("Ada"), ValueError("ours")):
        server.error("Error handling request", exc_info=error)
    server.error("something else")
    ours, other = logged(stream)
    assert "ours" in str(ours)
    assert other["event"] == "something else"


def test_warnings_join_the_logs() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old way", stacklevel=1)
    assert "old way" in logged(stream)[0]["event"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("amqp://guest:guest@mq:5672//", "amqp://***@mq:5672//"),
        ("postgresql://u:p@ss@db/x", "postgresql://***@db/x"),
        ("postgresql://u:p/w@db/x", "postgresql://***@db/x"),
        ("redis://token@h", "redis://***@h"),
        ("http://127.0.0.1:9900/mp?mail=a@b.c", "http://127.0.0.1:9900/mp?mail=a@b.c"),
        ("postgresql:///db?user=u&password=pw", "postgresql:///db?user=u&password=***"),
        ("Bearer abcdefghij rest", "Bearer *** rest"),
        ("the bearer of this", "the bearer of this"),
    ],
)
def test_mask(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_values_that_libraries_quote_are_hidden() -> None:
    said = mask(
        "1 validation error: email [type=string_type, input_value={'email': 'ada@example.org'},"
        " input_type=dict]\nDETAIL:  Failing row contains (1, ada@example.org, x).\nnext line"
    )
    assert "ada@example.org" not in said
    assert said.startswith("1 validation error: email [type=string_type, input_value=***, input_t")
    assert said.endswith("Failing row contains ***\nnext line")


def test_a_terminal_gets_no_control_characters() -> None:
    stream = io.StringIO()
    configure_logging("console", "info", stream)
    told = {"by": "\x1b]0;owned\x07\x9b2J", "of": ["\u202e"]}
    structlog.get_logger("daemon").info("command\x1b", **told)
    written = stream.getvalue()
    assert all(c.isprintable() or c == "\n" for c in written)
    assert "\\x1b]0;owned" in written
