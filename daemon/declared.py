"""Connections declared in the settings file: added or changed at start, never deleted."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from adapters.postgres import connections
from adapters.postgres.connections import ConnectionExists, UnreadableKey
from adapters.postgres.database import Tx
from adapters.postgres.errors import Conflict, UnknownConnection
from adapters.registry import check_known
from daemon.connection_changes import added, changed
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
    applied = []
    for connection in declared:
        check_known(connection.settings)

        async def apply(tx: Tx, connection: DeclaredConnection = connection) -> bool:
            return await _apply(tx, parts, connection, now)

        if await in_transaction(parts.database, apply):
            log.info("declared connection applied", connection=connection.settings.id)
            applied.append(connection.settings.id)
    return applied


async def _apply(tx: Tx, parts: Parts, declared: DeclaredConnection, now: datetime) -> bool:
    connection_id = ConnectionId(declared.settings.id)
    key = declared.api_key.get_secret_value() if declared.api_key else None
    wanted = declared.settings
    try:
        known = await connections.lock(tx, connection_id)
    except UnknownConnection:
        try:
            await added(tx, parts, wanted, key, now)
        except ConnectionExists as error:
            raise Conflict("another process has just added it") from error
        return True
    if wanted.sync_from is None:
        wanted = wanted.model_copy(update={"sync_from": known.settings.sync_from})
    same_key = key is None or key == await _stored_key(tx, parts, connection_id)
    if same_key and wanted == known.settings:
        return False
    await changed(tx, parts, known, wanted, now, None if same_key else key)
    return True


async def _stored_key(tx: Tx, parts: Parts, connection_id: ConnectionId) -> str | None:
    """The API key as it is stored; None also where it was sealed with a secret key we lack."""
    try:
        return await connections.api_key(tx, parts.cipher, connection_id)
    except UnreadableKey:
        return None
