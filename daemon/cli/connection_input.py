"""What a person gives for a connection: settings as KEY=VALUE, and the API key."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from daemon.settings_sources import Given, SettingsError

_LISTS = {"shipping_services"}


def pairs(given: Sequence[str]) -> dict[str, str | list[str]]:
    """KEY=VALUE … as changes to settings. Raises SettingsError."""
    split = [text.partition("=") for text in given]
    wrong = [place for place, (_, equals, _) in enumerate(split, 1) if not equals]
    if wrong:  # not repeated: it may be an API key
        raise SettingsError([f"setting {place} has no '=': write KEY=VALUE" for place in wrong])
    changes = {key.strip(): value.strip() for key, _, value in split}
    if "id" in changes:
        raise SettingsError(["id: a connection keeps its id; add another connection instead"])
    if "api_key" in changes:
        raise SettingsError(["api_key: give it by --api-key-file, --api-key-env or when asked"])
    return {key: _value(key, text) for key, text in changes.items()}


def _value(key: str, text: str) -> str | list[str]:
    if key in _LISTS and text:
        return [name.strip() for name in text.split(",")]
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
