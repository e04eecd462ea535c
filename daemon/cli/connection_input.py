"""What a person gives for a connection: settings as KEY=VALUE, and the API key."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import typer

from daemon.settings_sources import Given, SettingsError
from statemachine.connection import ConnectionSettings

_LISTS = {"shipping_services"}


def pairs(*given: Sequence[str] | None) -> dict[str, str | list[str] | None]:
    """KEY=VALUE … as changes to settings. Raises SettingsError."""
    split = [text.partition("=") for texts in given for text in texts or ()]
    faults = [
        _no_pair(place, text) for place, (text, equals, _) in enumerate(split, 1) if not equals
    ]
    changes = {key.strip(): value.strip() for key, _, value in split}
    if not faults and len(changes) < len(split):
        times = Counter(key.strip() for key, _, _ in split)
        faults = [f"{key}: given more than once" for key, n in times.items() if n > 1]
    if faults:
        raise SettingsError(faults)
    if "id" in changes:
        raise SettingsError(["id: a connection keeps its id; add another connection instead"])
    if "api_key" in changes:
        raise SettingsError(["api_key: give it by --api-key-file, --api-key-env or when asked"])
    return {key: _value(key, text) for key, text in changes.items()}


def _no_pair(place: int, text: str) -> str:
    """Only a setting's name is repeated: anything else may be an API key."""
    if text in ConnectionSettings.model_fields:
        return f"{text}: has no value; write {text}=VALUE, all in one word or in quotes"
    return f"setting {place} has no '=': write KEY=VALUE"


def _value(key: str, text: str) -> str | list[str] | None:
    if key in _LISTS:
        return [name.strip() for name in text.split(",")] if text else None
    return text


def ask_api_key(file: Path | None, variable: str | None, *, ask: bool) -> str | None:
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
