"""What is wrong with a value, in our words: for settings, commands and requests alike."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from statemachine.connection import CURRENCY, SLUG

_PATTERNS = {
    SLUG: "must be letters, digits and hyphens, at most 63, the first no hyphen",
    CURRENCY: "must be three capital letters, like EUR",
}
_DAY = "must be a day, like 2026-11-20"
_TIME = "must be a time in ISO 8601, like 2026-11-20T09:12:00+01:00"
_BEGINNINGS = {  # of the checker's names for what is wrong
    "missing": "must be given",
    "extra_forbidden": "is unknown here",
    "string_unicode": "must be text that UTF-8 can hold",
    "string_t": "must be text",
    "string_sub_type": "must be text",
    "int_": "must be a whole number",
    "float_": "must be a number",
    "finite_number": "must be a number",
    "decimal_max_digits": "must have at most {max_digits} digits",
    "decimal_max_places": "must have at most {decimal_places} digits behind the point",
    "decimal_whole_digits": "must have at most {whole_digits} digits before the point",
    "decimal_": "must be a decimal number, like 0.97",
    "bool_": "must be true or false",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be over {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be under {lt}",
    "date_": _DAY,
    "datetime_": _TIME,
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "mapping_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def problem(details: ErrorDetails) -> str:
    """What is wrong and what is allowed; never the value itself."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
    if kind in {"string_too_short", "string_too_long", "too_short", "too_long"}:
        return _length(kind, context)
    for beginning, words in _BEGINNINGS.items():
        if kind.startswith(beginning):
            return words.format_map(context)
    return details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _length(kind: str, context: Mapping[str, Any]) -> str:
    """Text counts characters, a list entries."""
    short = kind.endswith("short")
    limit = context["min_length" if short else "max_length"]
    if short and limit == 1:
        return "must not be empty"
    unit = "character" if kind.startswith("string") else "entry"
    many = unit if limit == 1 else {"character": "characters", "entry": "entries"}[unit]
    return f"must have at {'least' if short else 'most'} {limit} {many}"
