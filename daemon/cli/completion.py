"""What a shell completes beside options: ids of connections, keys of the orders configuration."""

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import typer

from adapters.postgres import connections
from adapters.postgres.database import Database
from adapters.postgres.errors import PostgresError
from daemon.logs import configure_logging
from daemon.settings import Settings, SettingsError, load_settings
from daemon.wiring import database_url
from statemachine.connection import ConnectionSettings

_PATIENCE = 2.0  # seconds a person waits for a completion
_MOST = 10_000


def complete_connection(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids that are declared or in a database that answers at once; none rather than an error."""
    with suppress(SettingsError):
        settings = load_settings(_config(ctx), os.environ)
        return sorted(i for i in _known_ids(settings) if i.startswith(incomplete))
    return []


def complete_setting(incomplete: str) -> list[tuple[str, str]]:
    """`key=value` for every value where they are few, else with the default; with its help."""
    fields, defaults = ConnectionSettings.model_fields, ConnectionSettings(id="any")
    found = [
        (f"{key}={value}", fields[key].description or "")
        for key, default in defaults.model_dump(mode="json").items()
        for value in _values(getattr(defaults, key), default)
        if key != "id"
    ]
    return [(pair, description) for pair, description in found if pair.startswith(incomplete)]


def _values(default: object, shown: object) -> Iterable[object]:
    if isinstance(default, bool):
        return ("true", "false")
    if isinstance(default, StrEnum):
        return type(default)
    return (shown if isinstance(shown, str | int | float) else "",)


def _config(ctx: typer.Context) -> Path | None:
    """The --config already typed, behind the command or before it."""
    given = ctx.params.get("config") or ctx.find_root().params.get("config")
    return Path(given) if given else None


def _known_ids(settings: Settings) -> set[str]:
    ids = {declared.settings.id for declared in settings.connections}
    if _answers_at_once(settings):
        configure_logging(settings.log_format, "critical")
        with suppress(PostgresError, TimeoutError, OSError):
            ids |= asyncio.run(_stored_ids(settings))
    return ids


def _answers_at_once(settings: Settings) -> bool:
    """An embedded server is not started for this."""
    running = settings.state_dir / "postgres" / "data" / "postmaster.pid"
    return settings.database_url is not None or running.exists()


async def _stored_ids(settings: Settings) -> set[str]:
    async with asyncio.timeout(_PATIENCE), database_url(settings) as dsn:
        database = await Database.open(dsn, max_size=1)
        try:
            async with database.connection() as conn:
                return set(await connections.names(conn, _MOST))
        finally:
            await database.close()
