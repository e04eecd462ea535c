"""Faults are told in our own words, whatever checks the value."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.wrong_values import problem
from statemachine.connection import Slug


class Shoe(StrEnum):
    BOOT = "boot"
    PUMP = "pump"


class Everything(BaseModel):
    """A field of every kind that settings, commands and requests have."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=2, max_length=3)] = "xx"
    filled: Annotated[str, Field(min_length=1)] = "x"
    slug: Slug = "x"
    code: Annotated[str, Field(pattern="^[0-9]$")] = "1"
    whole: Annotated[int, Field(ge=1, lt=9)] = 1
    some: Annotated[Decimal, Field(gt=0, le=2, max_digits=4)] = Decimal(1)
    number: Annotated[float, Field(allow_inf_nan=False)] = 1
    flag: bool = True
    kind: Literal["a", "b"] = "a"
    shoe: Shoe = Shoe.BOOT
    wait: Annotated[timedelta, Field(ge=timedelta(seconds=90))] = timedelta(hours=1)
    day: date = date.min
    at: datetime | None = None
    listed: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = ("x",)
    words: tuple[str, ...] = ()
    named: Mapping[str, str] = {}
    inner: "Everything | None" = None


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("text", 1, "must be text"),
        ("text", "\ud800", "must be text that UTF-8 can hold"),
        ("text", "x", "must have at least 2 characters"),
        ("text", "xxxx", "must have at most 3 characters"),
        ("filled", "", "must not be empty"),
        ("slug", "a b", "must be letters, digits and hyphens, at most 63, the first no hyphen"),
        ("code", "x", "must match ^[0-9]$"),
        ("whole", "x", "must be a whole number"),
        ("whole", 1.5, "must be a whole number"),
        ("whole", [], "must be a whole number"),
        ("whole", 0, "must be at least 1"),
        ("whole", 9, "must be under 9"),
        ("some", "x", "must be a decimal number, like 0.97"),
        ("some", [], "must be a decimal number, like 0.97"),
        ("some", 0, "must be over 0"),
        ("some", 3, "must be at most 2"),
        ("some", "1.00001", "must have at most 4 digits"),
        ("some", "NaN", "must be a number"),
        ("number", "x", "must be a number"),
        ("number", "inf", "must be a number"),
        ("flag", "perhaps", "must be true or false"),
        ("flag", [], "must be true or false"),
        ("kind", "c", "must be 'a' or 'b'"),
        ("shoe", "sock", "must be 'boot' or 'pump'"),
        ("wait", timedelta(0), "must be at least 1 minute and 30 seconds"),
        ("day", "tomorrow", "must be a day, like 2026-11-20"),
        ("day", [], "must be a day, like 2026-11-20"),
        ("at", "x", "must be a time in ISO 8601, like 2026-11-20T09:12:00+01:00"),
        ("listed", "x", "must be a list"),
        ("listed", [], "must not be empty"),
        ("listed", ["x"] * 3, "must have at most 2 entries"),
        ("words", [5], "must be text"),
        ("named", "x", "must be an object"),
        ("inner", "x", "must be an object"),
        ("other", "x", "is unknown here"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_allowed(field: str, value: Any, said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Everything.model_validate({field: value})
    assert [problem(details) for details in raised.value.errors()] == [said]


def test_what_is_missing_must_be_given() -> None:
    class Needed(BaseModel):
        name: str

    with pytest.raises(ValidationError) as raised:
        Needed.model_validate({})
    assert [problem(details) for details in raised.value.errors()] == ["must be given"]
