"""Connections declared in the settings file: added or changed at start, never deleted."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from adapters.postgres import connections
from adapters.postgres.connections import Connection, ConnectionExists, UnreadableKey
from adapters.postgres.database import Tx
from adapters.postgres.errors import Conflict, UnknownConnection
from adapters.registry import check_known
from daemon.commands import switch
from daemon.settings import DeclaredConnection
from daemon.transactions import in_transaction
from daemon.wiring import Parts
from statemachine.model import ConnectionId

log = structlog.get_logger(__name__)


async def apply_declared(
    parts: Parts, declared: Sequence[DeclaredConnection], now: datetime
) -> list[str]:
    """Bring the stored connections to what is declared; the ids of those that changed.

    Raises Refused (`plan_limit`), UnknownMarketplace.
    """
    changed = []
    for connection in declared:
        check_known(connection.settings)

        async def apply(tx: Tx, connection: DeclaredConnection = connection) -> bool:
            return await _apply(tx, parts, connection, now)

        if await in_transaction(parts.database, apply):
            log.info("declared connection applied", connection=connection.settings.id)
            changed.append(connection.settings.id)
    return changed


async def _apply(tx: Tx, parts: Parts, declared: DeclaredConnection, now: datetime) -> bool:
    connection_id = ConnectionId(declared.settings.id)
    key = declared.api_key.get_secret_value() if declared.api_key else None
    wanted = declared.settings
    try:
        known = await connections.get(tx, connection_id)
    except UnknownConnection:
        inactive = wanted.model_copy(update={"active": False})
        try:
            known = await connections.add(tx, parts.cipher, inactive, key, now)
        except ConnectionExists as error:
            raise Conflict("another process has just added it") from error
        await _switch(tx, parts, known, now, active=wanted.active)
        return True
    if wanted.sync_from is None:
        wanted = wanted.model_copy(update={"sync_from": known.settings.sync_from})
    same_key = key is None or key == await _stored_key(tx, parts, connection_id)
    if same_key and wanted == known.settings:
        return False
    settings = wanted.model_copy(update={"active": known.settings.active})
    known = await connections.update(tx, parts.cipher, settings, api_key=key)
    if not same_key and known.suspended_reason == "bad_key":
        await connections.resume(tx, connection_id, "by_command", "new API key", now)
    await _switch(tx, parts, known, now, active=wanted.active)
    return True


async def _stored_key(tx: Tx, parts: Parts, connection_id: ConnectionId) -> str | None:
    """The API key as it is stored; None also where it was sealed with a secret key we lack."""
    try:
        return await connections.api_key(tx, parts.cipher, connection_id)
    except UnreadableKey:
        return None


async def _switch(tx: Tx, parts: Parts, known: Connection, now: datetime, *, active: bool) -> None:
    if known.settings.active is not active:
        await switch(tx, known, parts.settings.plan, now, active=active)
