"""The types of the fields of commands, and what each accepts (interfaces, "Command")."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from unicodedata import normalize

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
)
from pydantic.config import JsonDict, JsonValue
from pydantic_core import PydanticKnownError

from statemachine.acceptance import AUTOMATIC
from statemachine.step import MARKETPLACE


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must be text without NUL")  # PostgreSQL keeps none
    return value


def with_pattern(pattern: str) -> Any:
    """How the JSON Schema says what a check says."""
    return Field(json_schema_extra={"pattern": pattern})


def _at_most(length: int) -> BeforeValidator:
    """Counted as the JSON Schema counts: before the blanks around are taken off."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and len(value) > length:
            raise PydanticKnownError("string_too_long", {"max_length": length})
        return value

    return BeforeValidator(check)


Clean = AfterValidator(_without_nul)
WITHOUT_NUL = with_pattern(r"^[^\x00]*$")
Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
    Clean,
    with_pattern(r"^[^\x00]*[^\s\x00][^\x00]*$"),
    _at_most(255),
]
ServiceName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=255),
    Clean,
    WITHOUT_NUL,
    _at_most(255),
]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=1000),
    Clean,
    WITHOUT_NUL,
    _at_most(1000),
]
OWN_NAMES = (AUTOMATIC, MARKETPLACE)


def _not_ours(value: str) -> str:
    """History must tell what a person asked for from what the daemon did by itself."""
    if normalize("NFKC", value).strip().lower() in OWN_NAMES:
        raise ValueError(f"must name who asks; {' and '.join(OWN_NAMES)} are the daemon's own")
    return value


_OWN = "|".join("".join(f"[{c}{c.upper()}]" for c in name) for name in OWN_NAMES)
By = Annotated[
    Text,
    AfterValidator(_not_ours),
    with_pattern(rf"^(?!\s*({_OWN})\s*$)[^\x00]*[^\s\x00][^\x00]*$"),
]


def _is_written(value: Any) -> Any:
    """A number is no day, nor is one in quotes: it would count as seconds since 1970."""
    if value is None or isinstance(value, date) or (isinstance(value, str) and "-" in value[1:]):
        return value
    raise ValueError("must be a day or time in ISO 8601, like 2026-11-20")


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 1.0 is 1."""
    if isinstance(value, Decimal) and abs(value.adjusted()) < _DIGITS and value == int(value):
        return int(value)
    return value


_DIGITS = 18
Written = BeforeValidator(_is_written)
KNOWN_YEAR = with_pattern(r"^(19[7-9]|2[0-9][0-9])[0-9]-")
Whole = BeforeValidator(_whole)


def either(*kinds: tuple[str, str]) -> JsonDict:
    """The JSON Schema of fields of which exactly one is given; null is not given."""
    return {"oneOf": one_of(*kinds)}


def one_of(*kinds: tuple[str, str]) -> list[JsonValue]:
    return [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in kinds]
