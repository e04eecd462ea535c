"""Keyset pages: a cursor is where the last row stood, opaque and fit for a URL."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from adapters.postgres.errors import PostgresError

T = TypeVar("T")


class BadCursor(PostgresError):
    """This cursor did not come from a page before. Start again without one."""


class Page(NamedTuple, Generic[T]):
    """One page and where the next begins; None at the end."""

    items: list[T]
    next_cursor: str | None


def page_of(found: Sequence[T], limit: int, key: Callable[[T], tuple[Any, ...]]) -> Page[T]:
    """The page of `limit` rows out of `limit + 1` that were asked for."""
    items = list(found[:limit])
    more = len(found) > limit
    return Page(items, encode(key(items[-1])) if more else None)


def encode(key: tuple[Any, ...]) -> str:
    """The cursor after the row with this key."""
    return urlsafe_b64encode(orjson.dumps(key)).rstrip(b"=").decode()


def decode(cursor: str | None, *kinds: Callable[[str], Any]) -> tuple[Any, ...]:
    """The key a cursor stands for, all None without one. Raises BadCursor."""
    if cursor is None:
        return (None,) * len(kinds)
    try:
        values = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return tuple(kind(value) for kind, value in zip(kinds, values, strict=True))
    except (ValueError, TypeError, OverflowError) as error:
        raise BadCursor("this cursor did not come from a page before; start without one") from error


def moment(value: str) -> datetime:
    """A time of a key. Raises ValueError, TypeError, OverflowError for what cannot be one."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("a key's time has an offset")
    return found.astimezone(UTC)


def text(value: object) -> str:
    """A text of a key. Raises ValueError for what cannot be one."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("a key's text is text without NUL")
    return value
