"""The texts inside an order: amounts, counts, dates. What is refused says why, without the field.

Messages hold the value itself: use these for what is no personal data.
"""

import re
from datetime import MAXYEAR, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

# 12 digits before and 20 after the point: any price, and what binary floats print as.
_AMOUNT = re.compile(r"([0-9]{1,12})(?:[.,]([0-9]{1,20}))?")
_COUNT = re.compile(r"([0-9]{1,9})(?:[.,]0+)?")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[\sT:]\s*([0-9]{2}:[0-9]{2}:[0-9]{2}))?")
_ZERO_DATE = re.compile(r"0000-00-00.*")
_AN_AMOUNT = "an amount like 64.90"
_SPACES = re.compile(r"\s+")
_FIRST_YEAR = 1970
_SHOWN = 60


class BadField(ValueError):
    """A field's text is not what it should be; the message shows it, shortened."""

    def __init__(self, text: str, expected: str):
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        super().__init__(
            f"{shown!r} is not {expected}" if text else f"missing, expected {expected}"
        )


def parse_amount(text: str) -> Decimal:
    """An amount with the decimals it was sent with; a comma or spaces do not matter."""
    match = _AMOUNT.fullmatch(_SPACES.sub("", text))
    if match is None:
        raise BadField(text, _AN_AMOUNT)
    whole, decimals = match.groups()
    return Decimal(f"{whole}.{decimals}" if decimals else whole)


def parse_signed_amount(text: str) -> Decimal:
    """An amount of a line, below 0 where it is a voucher or a correction."""
    try:
        amount = parse_amount(text.removeprefix("-"))
    except BadField:
        raise BadField(text, _AN_AMOUNT) from None
    return -amount if text.startswith("-") else amount


def parse_count(text: str) -> int:
    """A whole number, 0 or more."""
    match = _COUNT.fullmatch(text)
    if match is None:
        raise BadField(text, "a whole number")
    return int(match[1])


def parse_date(text: str, zone: ZoneInfo) -> datetime:
    """A moment the marketplace wrote in the zone of the connection."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise BadField(text, "a date like 2026-11-20 09:12:00")
    day, time = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time or '00:00:00'}")
    except ValueError:
        raise BadField(text, "a date of the calendar") from None
    if not _FIRST_YEAR <= moment.year < MAXYEAR:
        raise BadField(text, f"a date between {_FIRST_YEAR} and {MAXYEAR - 1}")
    aware = moment.replace(tzinfo=zone)
    # A fixed offset: a time of the hour that clocks repeat is equal to itself (PEP 495).
    return moment.replace(tzinfo=timezone(aware.utcoffset() or timedelta()))


def is_zero_date(text: str) -> bool:
    """Whether the text says "never": empty, or MySQL's zero date."""
    return not text or _ZERO_DATE.fullmatch(text) is not None
