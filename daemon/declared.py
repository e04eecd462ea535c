"""Connections declared in the settings file: added or changed at start, never deleted."""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from adapters.postgres import connections
from adapters.postgres.connections import ConnectionExists, UnreadableKey
from adapters.postgres.database import Tx
from adapters.postgres.errors import Conflict, UnknownConnection
from adapters.registry import check_known
from daemon.connection_changes import added, changed
from daemon.settings import DeclaredConnection, SettingsError
from daemon.transactions import in_transaction, once_available
from daemon.wiring import Parts
from statemachine.connection import ConnectionSettings
from statemachine.facts import Refused
from statemachine.model import ConnectionId

log = structlog.get_logger(__name__)


async def apply_declared(
    parts: Parts, declared: Sequence[DeclaredConnection], now: datetime
) -> list[str]:
    """Bring the stored connections to what is declared, or change nothing; those that changed.

    Raises Refused (`plan_limit`), UnknownMarketplace.
    """
    for connection in declared:
        check_known(connection.settings)
    # what is switched off makes room in the plan for what is switched on
    ordered = sorted(declared, key=lambda c: (c.settings.active, c.settings.id))

    async def apply(tx: Tx) -> list[str]:
        return [c.settings.id for c in ordered if await _apply_naming(tx, parts, c, now)]

    applied = await in_transaction(parts.database, apply)
    for connection_id in applied:
        log.info("declared connection applied", connection=connection_id)
    return applied


async def declare(parts: Parts, on_wait: Callable[[str], None]) -> list[str]:
    """What the settings declare, applied as soon as the database can; `on_wait` is told why not.

    Raises SettingsError for what is refused.
    """
    try:
        return await once_available(
            lambda: apply_declared(parts, parts.settings.connections, parts.clock()), on_wait
        )
    except Refused as error:
        raise SettingsError([error.message]) from error


async def _apply_naming(tx: Tx, parts: Parts, declared: DeclaredConnection, now: datetime) -> bool:
    """As _apply; a refusal names the connection."""
    try:
        return await _apply(tx, parts, declared, now)
    except Refused as error:
        named = f"connections[{declared.settings.id}]: {error.message}"
        raise Refused(error.code, named) from error


async def _apply(tx: Tx, parts: Parts, declared: DeclaredConnection, now: datetime) -> bool:
    connection_id = ConnectionId(declared.settings.id)
    key = declared.api_key.get_secret_value()
    try:
        for read in (connections.get, connections.lock):  # locked only where it differs
            known = await read(tx, connection_id)
            wanted = _wanted(declared.settings, known.settings)
            same_key = key == await _stored_key(tx, parts, connection_id)
            if same_key and wanted == known.settings:
                return False
        await changed(tx, parts, known, wanted, now, None if same_key else key)
    except UnknownConnection:
        try:
            await added(tx, parts, declared.settings, key, now)
        except ConnectionExists as error:
            raise Conflict("another process has just added it") from error
    return True


def _wanted(declared: ConnectionSettings, known: ConnectionSettings) -> ConnectionSettings:
    """What is declared; its `sync_from` stays where none is."""
    if declared.sync_from is not None:
        return declared
    return declared.model_copy(update={"sync_from": known.sync_from})


async def _stored_key(tx: Tx, parts: Parts, connection_id: ConnectionId) -> str | None:
    """The API key as it is stored; None also where it was sealed with a secret key we lack."""
    try:
        return await connections.api_key(tx, parts.cipher, connection_id)
    except UnreadableKey:
        return None
