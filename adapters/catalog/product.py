"""One product as the store describes it: the fields of `catalog.upsert`, checked in one place."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from statemachine.dates import within
from statemachine.model import ProductId, ProductUpdate

MAX_ID = 255  # characters of id, sku, ean, an attribute's name
MAX_STOCK = 2**31 - 1
MAX_DIGITS, MAX_DECIMALS = 12, 18  # of an amount, before and after the point
_SHOWN = 80

_WHOLE = re.compile(r"\+?\d+(\.0*)?", re.ASCII)
_AMOUNT = re.compile(r"\+?\d+(\.\d*)?|\+?\.\d+", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def product_update(fields: Mapping[str, object]) -> ProductUpdate:
    """The product these fields describe; a field left out or None stays as it is.

    Raises ValueError that names the field, its value and what is allowed. Decimals should come
    as text, int or Decimal; a float counts as the shortest decimal that reads back as it.
    """
    unknown = [name for name in fields if name not in _READ]
    if unknown:
        raise ValueError(f"unknown field {_shown(unknown[0])}: {KNOWN_FIELDS}")
    if fields.get("id") is None:
        raise ValueError("id is missing: every product needs its id")
    given = {name: _read(name, value) for name, value in fields.items() if value is not None}
    return ProductUpdate(**given)


def _read(name: str, value: object) -> Any:
    try:
        return _READ[name](value)
    except ValueError as error:
        raise ValueError(f"{name} = {_shown(value)}: {error}") from None


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | list | dict) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _number(value: object) -> Decimal | None:
    """A number that is not text, exactly; None for anything else, NaN and infinities too."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() else None


def _text(value: object) -> str:
    number = _number(value)
    if number is None and not isinstance(value, str):
        raise ValueError("must be text")
    text = value.strip() if isinstance(value, str) else str(number)
    if "\0" in text or not _is_unicode(text):
        raise ValueError("must be text without NUL or half characters")
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON may escape half of a surrogate pair
        return False
    return True


def _key(value: object) -> str:
    text = _text(value)
    if not 0 < len(text) <= MAX_ID:
        raise ValueError(f"must be text of 1 to {MAX_ID} characters")
    return text


def _stock(value: object) -> int:
    number = _number(value)
    if isinstance(value, str) and len(value) <= _SHOWN and _WHOLE.fullmatch(value.strip()):
        number = Decimal(value.strip())
    # the range first: int() of 1e999999999 would not end
    if number is None or not 0 <= number <= MAX_STOCK or number != int(number):
        raise ValueError(f"must be a whole number of units, 0 to {MAX_STOCK}")
    return int(number)


def _price(value: object) -> Decimal:
    number = _number(value)
    if isinstance(value, str) and len(value) <= _SHOWN and _AMOUNT.fullmatch(value.strip()):
        number = Decimal(value.strip())
    if number is None or number < 0:
        raise ValueError("must be an amount, 0 or more, like 64.99")
    exponent = number.as_tuple().exponent
    if number.adjusted() >= MAX_DIGITS or int(exponent) < -MAX_DECIMALS:
        raise ValueError(f"must have at most {MAX_DIGITS} digits and {MAX_DECIMALS} decimals")
    return Decimal(f"{number.copy_abs():f}")  # abs() would round


def _currency(value: object) -> str:
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value.strip()):
        raise ValueError("must be three capital letters, like EUR")
    return value.strip()


def _as_of(value: object) -> datetime:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise ValueError("must be an ISO 8601 time like 2026-11-20T09:12:00+01:00")
    if moment.utcoffset() is None:
        raise ValueError("has no offset from UTC: write +00:00, +01:00 or Z behind the time")
    within(moment)
    return moment


def _attributes(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("must be names with texts, like {color: red}")
    return {_key(name): _attribute(str(name), text) for name, text in value.items()}


def _attribute(name: str, value: object) -> str:
    try:
        return _text(value)
    except ValueError as error:
        raise ValueError(f"{_shown(name)} {error}") from None


_READ: dict[str, Callable[[object], Any]] = {
    "id": lambda value: ProductId(_key(value)),
    "sku": _key,
    "ean": _key,
    "name": _text,
    "stock": _stock,
    "price_final_incl_tax": _price,
    "price_original_incl_tax": _price,
    "currency": _currency,
    "attributes": _attributes,
    "as_of": _as_of,
}
FIELDS = tuple(_READ)
KNOWN_FIELDS = f"known are {', '.join(FIELDS)}; any other goes among the attributes"
