"""Connections added and changed: settings, API key and activation, each in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapters.postgres import connections as store
from adapters.postgres.connections import Connection
from adapters.postgres.database import Tx
from adapters.registry import UnknownMarketplace, check_known
from daemon.commands import switch
from daemon.settings_sources import Given, SettingsError, unknown_setting
from daemon.transactions import in_transaction
from daemon.wiring import Parts
from daemon.wrong_values import problem
from statemachine.connection import ConnectionSettings
from statemachine.model import ConnectionId

_LONGEST_KEY = 255
_WHERE = ("marketplace", "site", "base_url")  # decide where the API key is sent


@dataclass(frozen=True, slots=True)
class WrongSetting:
    """One setting that cannot be taken; `line` names it with its value, never an API key's."""

    key: str
    problem: str
    line: str


class WrongSettings(SettingsError):
    """A connection's settings cannot be taken; nothing was changed. `wrong` names each by key."""

    def __init__(self, wrong: Sequence[WrongSetting]):
        super().__init__([setting.line for setting in wrong])
        self.wrong = tuple(wrong)


def read_settings(values: Mapping[str, Any]) -> ConnectionSettings:
    """The settings given; what is empty or None takes its default. Raises WrongSettings."""
    given = {key: value for key, value in values.items() if value is not None and value != ""}
    try:
        settings = ConnectionSettings.model_validate(given)
        check_known(settings)
    except ValidationError as error:
        raise WrongSettings([_wrong(details) for details in error.errors()]) from error
    except UnknownMarketplace as error:
        raise WrongSettings([WrongSetting(error.key, error.problem, str(error))]) from error
    return settings


def changed_settings(known: ConnectionSettings, changes: Mapping[str, Any]) -> ConnectionSettings:
    """The settings after these changes; an empty one takes its default. Raises WrongSettings."""
    if changes.get("id", known.id) != known.id:
        why = "a connection keeps its id; add another connection instead"
        raise WrongSettings([WrongSetting("id", why, f"id: {why}")])
    return read_settings({**known.model_dump(), **changes})


def _wrong(details: ErrorDetails) -> WrongSetting:
    key = str(details["loc"][0]) if details["loc"] else _key_in(details)
    given = Given(".".join(map(str, details["loc"])) or key, details["input"])
    if details["type"] == "extra_forbidden":
        known = ConnectionSettings.model_fields
        unknown = unknown_setting(key, known, like=key)
        meant = "" if "did you mean" in unknown else f"; known are {', '.join(known)}"
        return WrongSetting(key, unknown + meant, given.fault(unknown + meant))
    why = problem(details)
    shown = bool(details["loc"]) and details["type"] != "missing"
    return WrongSetting(key, why, given.fault(why, show=shown))


def _key_in(details: ErrorDetails) -> str:
    """The setting that a check of the whole speaks of: its message begins with the name."""
    named = problem(details).partition(" ")[0].partition(".")[0]
    return named if named in ConnectionSettings.model_fields else "default_shipping_service"


def read_api_key(text: str) -> str:
    """The API key as it was typed or pasted. Raises WrongSettings, which never holds it."""
    key = text.strip()
    why = "must be given" if not key else "must be one word of plain characters"
    if not key or len(key) > _LONGEST_KEY or not key.isprintable() or " " in key:
        raise WrongSettings([WrongSetting("api_key", why, f"api_key: {why}")])
    return key


async def add_connection(
    parts: Parts, settings: ConnectionSettings, api_key: str | None
) -> Connection:
    """Add a connection, and activate it if its settings say so.

    Raises ConnectionExists; Refused `plan_limit`: then it is not added either.
    """

    async def work(tx: Tx) -> Connection:
        return await added(tx, parts, settings, api_key, parts.clock())

    return await in_transaction(parts.database, work)


async def change_connection(
    parts: Parts,
    connection: ConnectionId,
    changes: Mapping[str, Any],
    *,
    api_key: str | None = None,
    expected_version: int | None = None,
) -> Connection:
    """Change some settings, `active` among them, or the API key, or nothing at all.

    Raises UnknownConnection, WrongSettings, Refused `plan_limit`, and StaleVersion when somebody
    changed it after `expected_version`.
    """

    async def work(tx: Tx) -> Connection:
        known = await store.lock(tx, connection)
        settings = changed_settings(known.settings, changes)
        if api_key is None and known.has_key:
            _stays_at_its_address(known.settings, settings)
        now = parts.clock()
        return await changed(tx, parts, known, settings, now, api_key, expected_version)

    return await in_transaction(parts.database, work)


async def added(
    tx: Tx, parts: Parts, settings: ConnectionSettings, api_key: str | None, now: datetime
) -> Connection:
    """Add a connection within a transaction. Raises ConnectionExists, Refused."""
    inactive = settings.model_copy(update={"active": False})
    connection = await store.add(tx, parts.cipher, inactive, api_key, now)
    return await _switched(tx, parts, connection, now, active=settings.active)


async def changed(
    tx: Tx,
    parts: Parts,
    known: Connection,
    settings: ConnectionSettings,
    now: datetime,
    api_key: str | None,
    expected_version: int | None = None,
) -> Connection:
    """Change a connection within a transaction; a new key ends a suspension by the marketplace.

    Raises StaleVersion, Refused.
    """
    kept = settings.model_copy(update={"active": known.settings.active})
    connection = await store.update(
        tx, parts.cipher, kept, expected_version=expected_version, api_key=api_key
    )
    if api_key is not None and known.suspended_reason != store.BY_COMMAND:
        await store.resume(tx, known.id, store.BY_COMMAND, "new API key", now)
    return await _switched(tx, parts, connection, now, active=settings.active)


def _stays_at_its_address(before: ConnectionSettings, after: ConnectionSettings) -> None:
    """A stored API key is never sent to another address than the one it was given for."""
    moved = [name for name in _WHERE if getattr(before, name) != getattr(after, name)]
    if moved:
        why = (
            f"must be given again with another {moved[0]}: the stored one was given for the address"
            " of before; nothing was changed"
        )
        raise WrongSettings([WrongSetting("api_key", why, f"api_key: {why}")])


async def _switched(
    tx: Tx, parts: Parts, known: Connection, now: datetime, *, active: bool
) -> Connection:
    """The connection, activated or disabled if it is not so already. Raises Refused."""
    if known.settings.active is not active:
        await switch(tx, known, parts.settings.plan, now, active=active)
    return await store.get(tx, known.id)
