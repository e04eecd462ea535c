"""Times as a person types them: a day, or a moment; without offset in this machine's zone."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

_DAY = "YYYY-MM-DD"


def moment(text: str) -> datetime:
    """An ISO 8601 day or time as an aware moment. Raises typer.BadParameter."""
    return _moment(text, timedelta(0))


def _moment(text: str, after: timedelta) -> datetime:
    try:
        return (datetime.fromisoformat(text) + after).astimezone(UTC)
    except (ValueError, OverflowError):
        wanted = f"{text!r} is no {_DAY} or ISO 8601 time, like 2026-11-20T09:12:00+01:00"
        raise typer.BadParameter(wanted) from None


def end(text: str) -> datetime:
    """As `moment`; a day means its end."""
    return _moment(text, timedelta(days=len(text) == len(_DAY)))


From = Annotated[
    datetime | None,
    typer.Option(
        "--from", metavar="TIME", parser=moment, help="Placed from this day or ISO 8601 time on."
    ),
]
To = Annotated[
    datetime | None,
    typer.Option(
        "--to", metavar="TIME", parser=end, help="Placed before this time, or until this day's end."
    ),
]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of", metavar="TIME", parser=moment, help="The moment the stock number speaks of."
    ),
]
