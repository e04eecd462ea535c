"""Parts of requests that several addresses share: pages, names, times."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from adapters.postgres import connections
from adapters.postgres.database import Conn
from daemon.command_fields import WITHOUT_NUL, Clean, Text
from statemachine.model import ConnectionId

_MOMENT = {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
_WANTED = "must be a day or an ISO 8601 time with offset, like 2026-11-20T09:12:00+01:00"


class Wanted(BaseModel):
    """What a request may say; anything else is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PageWanted(Wanted):
    limit: int = Field(50, ge=1, le=200, description="At most so many")
    cursor: Annotated[str, Clean, WITHOUT_NUL] | None = Field(
        None, min_length=1, max_length=2000, description="`next` of the page before"
    )


class OfConnection(Wanted):
    connection: Text | None = Field(None, description="Of this connection only")


class OrderNamed(Wanted):
    connection: Text
    order_id: Text


class ReturnNamed(Wanted):
    connection: Text
    return_id: Text


async def known_connection(conn: Conn, connection: str | None) -> ConnectionId | None:
    """The connection to look at, None for all. Raises UnknownConnection."""
    if connection is None:
        return None
    return (await connections.get(conn, ConnectionId(connection))).id


def _begin(value: Any) -> datetime:
    return _moment(value)


def _end(value: Any) -> datetime:
    """As `_begin`; a day means its end."""
    return _moment(value, timedelta(days=1))


def _moment(value: Any, of_a_day: timedelta = timedelta(0)) -> datetime:
    """A time with offset, or a day in UTC. Raises ValueError."""
    try:
        text = str(value).replace(" ", "+") if "T" in str(value) else str(value)  # + in a URL
        found = datetime.fromisoformat(text)
        if "T" not in text:
            found = datetime.combine(date.fromisoformat(text), time(), UTC) + of_a_day
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(_WANTED)


Begin = Annotated[datetime, BeforeValidator(_begin), WithJsonSchema(_MOMENT)]
End = Annotated[datetime, BeforeValidator(_end), WithJsonSchema(_MOMENT)]
