"""What a person gives for a connection: settings as KEY=VALUE, and the API key."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapters.registry import check_known
from daemon.settings_sources import Given, SettingsError, problem, unknown_setting
from statemachine.connection import ConnectionSettings

_LISTS = {"shipping_services"}


def pairs(given: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE … as a mapping. Raises SettingsError."""
    split = [text.partition("=") for text in given]
    wrong = [place for place, (_, equals, _) in enumerate(split, 1) if not equals]
    if wrong:  # not repeated: it may be an API key
        raise SettingsError([f"setting {place} has no '=': write KEY=VALUE" for place in wrong])
    return {key.strip(): value.strip() for key, _, value in split}


def changed_settings(known: Mapping[str, Any], changes: Mapping[str, str]) -> ConnectionSettings:
    """The settings, changed; an empty value is the default again. Raises SettingsError."""
    if "id" in changes:
        raise SettingsError(["id: a connection keeps its id; add another connection instead"])
    if "api_key" in changes:
        raise SettingsError(["api_key: give it by --api-key-file, --api-key-env or when asked"])
    values = {**known, **{key: _value(key, text) for key, text in changes.items()}}
    values = {key: value for key, value in values.items() if value != ""}
    try:
        settings = ConnectionSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError([_fault(details) for details in error.errors()]) from error
    check_known(settings)
    return settings


def _value(key: str, text: str) -> str | list[str]:
    if key in _LISTS and text:
        return [name.strip() for name in text.split(",")]
    return text


def _fault(details: ErrorDetails) -> str:
    key = str(details["loc"][0]) if details["loc"] else "default_shipping_service"
    given = Given(key, details["input"])
    if details["type"] == "extra_forbidden":
        known = ConnectionSettings.model_fields
        unknown = unknown_setting(key, known, like=key)
        meant = "" if "did you mean" in unknown else f"; known are {', '.join(known)}"
        return given.fault(unknown + meant)
    return given.fault(problem(details), show=bool(details["loc"]))


def read_api_key(file: Path | None, variable: str | None, *, ask: bool) -> str | None:
    """The API key from a file, a variable or, when asked for, the keyboard; None for none.

    Raises SettingsError, which never holds the key.
    """
    if file is not None and variable is not None:
        raise SettingsError(["--api-key-file and --api-key-env: give one of them"])
    if file is not None:
        return Given("--api-key-file", str(file)).file_content()
    if variable is not None:
        key = os.environ.get(variable, "").strip()
        if not key:
            raise SettingsError([f"--api-key-env {variable}: no such variable, or it is empty"])
        return key
    return _typed_key() if ask else None


def _typed_key() -> str:
    """The key as it is typed, unseen, or piped in."""
    if sys.stdin.isatty():
        return str(typer.prompt("API key", hide_input=True)).strip()
    key = sys.stdin.readline().strip()
    if not key:
        raise SettingsError(["no API key given: --api-key-file, --api-key-env, or on stdin"])
    return key
