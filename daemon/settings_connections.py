"""Connections declared in the TOML file: their settings, and where their API keys are."""

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from daemon.settings_sources import (
    Given,
    SettingsError,
    credential,
    unknown_setting,
)
from daemon.wrong_values import problem
from statemachine.connection import SLUG, ConnectionSettings

_API_KEY = ("api_key", "api_key_file", "api_key_env")


class DeclaredConnection(BaseModel):
    """A connection from the TOML file, its API key beside its settings."""

    model_config = ConfigDict(frozen=True)

    settings: ConnectionSettings
    api_key: SecretStr


def key_variables(tables: Given) -> set[str]:
    """The environment variables that hold API keys."""
    listed = tables.value if isinstance(tables.value, list) else []
    tables_only = (table for table in listed if isinstance(table, dict))
    return {str(table["api_key_env"]) for table in tables_only if "api_key_env" in table}


def declared_connections(
    tables: Given, environ: Mapping[str, str]
) -> tuple[list[DeclaredConnection], list[str]]:
    """The readable connections of [[connections]], and a line for each fault in the others."""
    if not isinstance(tables.value, list) or not all(isinstance(t, dict) for t in tables.value):
        return [], [tables.fault("declare each connection as a table [[connections]]")]
    declared: dict[str, DeclaredConnection] = {}
    faults: list[str] = []
    for position, table in enumerate(tables.value):
        given = Given(f"connections[{table.get('id', position)}]", table, tables.file)
        try:
            connection = _connection(given, environ)
        except SettingsError as error:
            faults.extend(error.faults)
            continue
        if connection.settings.id in declared:
            faults.append(given.fault("declared twice; each id names one connection"))
        declared[connection.settings.id] = connection
    return list(declared.values()), faults


def _connection(given: Given, environ: Mapping[str, str]) -> DeclaredConnection:
    faults: list[str] = []
    rest = {key: value for key, value in given.value.items() if key not in _API_KEY}
    try:
        settings = ConnectionSettings.model_validate(rest)
    except ValidationError as error:
        faults.extend(_connection_fault(given, details) for details in error.errors())
    try:
        api_key = _api_key(given, environ)
    except SettingsError as error:
        faults.extend(error.faults)
    if faults:
        raise SettingsError(faults)
    return DeclaredConnection(settings=settings, api_key=api_key)


def _connection_fault(connection: Given, details: ErrorDetails) -> str:
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in details["loc"])
    given = Given(connection.name + place, details["input"], connection.file)
    if details["type"] == "extra_forbidden":
        known = [*ConnectionSettings.model_fields, *_API_KEY]
        return given.fault(unknown_setting(str(details["loc"][-1]), known, like=given.name))
    return given.fault(problem(details), show=bool(place) and details["type"] != "missing")


def _api_key(connection: Given, environ: Mapping[str, str]) -> SecretStr:
    """The key from the one place the connection names; SettingsError without its value.

    A connection that names none has the systemd credential `api_key.ID`.
    """
    named = [key for key in _API_KEY if key in connection.value]
    connection_id = str(connection.value.get("id"))
    if not named and re.fullmatch(SLUG, connection_id):
        stored = credential(environ, f"api_key.{connection_id}")
        if stored is not None:
            return SecretStr(Given(f"credential {stored.name}", stored).file_content())
    if len(named) != 1:
        had = " and ".join(named) or "none"
        raise SettingsError([connection.fault(f"needs one of {', '.join(_API_KEY)}; has {had}")])
    source = named[0]
    given = Given(f"{connection.name}.{source}", connection.value[source], connection.file)
    if not isinstance(given.value, str) or not given.value.strip():
        raise SettingsError([given.fault("must be text, not empty")])
    if source == "api_key_file":
        return SecretStr(given.file_content())
    key = environ.get(given.value, "") if source == "api_key_env" else given.value
    if not key.strip():
        raise SettingsError([given.fault("names an environment variable that is not set")])
    return SecretStr(key.strip())
