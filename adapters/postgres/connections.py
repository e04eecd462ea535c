"""Connections: their settings, their sealed API keys, whether they are active or suspended."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson
from asyncpg import Record
from cryptography.fernet import InvalidToken, MultiFernet

from adapters.postgres import events, looks, paging, stock_pushes
from adapters.postgres.errors import PostgresError, StaleVersion, UnknownConnection
from adapters.postgres.paging import Page, decode, page_of
from adapters.postgres.queries import load
from statemachine.changes import Event, EventType
from statemachine.connection import ConnectionSettings
from statemachine.model import ConnectionId

if TYPE_CHECKING:
    from adapters.postgres.database import Conn, Tx

_SQL = load("connections")

# Settings that put open orders elsewhere: these are stepped once after a change.
_DECIDE = (
    "auto_accept",
    "catalog",
    "price_attribute",
    "price_threshold",
    "product_id_attribute",
    "sync_level",
    "synced_when",
    "use_billing_address_for_shipping",
)
BY_COMMAND = "by_command"  # beside the marketplace's reasons, bad_key and deactivated


class UnreadableKey(PostgresError):
    """An API key was sealed with a key we do not have. Give it again, or restore SECRET_KEY."""


class ConnectionExists(PostgresError):
    """A connection of this id is there already. Choose another id, or change that one."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection; the API key itself never leaves `api_key`."""

    settings: ConnectionSettings
    version: int
    added_at: datetime
    suspended_at: datetime | None
    suspended_reason: str | None
    suspended_message: str | None
    has_key: bool

    @property
    def id(self) -> ConnectionId:
        return ConnectionId(self.settings.id)


async def list_all(conn: "Conn") -> list[Connection]:
    """Every connection, by id."""
    return [_connection(row) for row in await conn.fetch(_SQL["read"], None)]


async def settings_of(
    conn: "Conn", ids: Iterable[ConnectionId]
) -> dict[ConnectionId, ConnectionSettings]:
    """The settings of those of the connections that exist."""
    found = map(_connection, await conn.fetch(_SQL["read"], sorted(set(ids))))
    return {connection.id: connection.settings for connection in found}


async def names(conn: "Conn", limit: int) -> dict[ConnectionId, bool]:
    """The first so many connections by id, and whether each is active."""
    return {row["id"]: row["active"] for row in await conn.fetch(_SQL["names"], limit)}


async def page(
    conn: "Conn", *, text: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Connection]:
    """Connections by id, those whose id begins with `text`. Raises BadCursor."""
    (after,) = decode(cursor, paging.text)
    found = await conn.fetch(_SQL["page"], text, after, limit + 1)
    return page_of([_connection(row) for row in found], limit, lambda c: (c.id,))


async def get(conn: "Conn", connection: ConnectionId) -> Connection:
    """One connection. Raises UnknownConnection."""
    return _known(connection, await conn.fetchrow(_SQL["read"], [connection]))


async def lock(tx: "Tx", connection: ConnectionId) -> Connection:
    """One connection, ours until the transaction ends. Raises UnknownConnection."""
    return _known(connection, await tx.fetchrow(_SQL["lock"], connection))


async def add(
    tx: "Tx",
    cipher: MultiFernet,
    settings: ConnectionSettings,
    api_key: str | None,
    now: datetime,
) -> Connection:
    """Add a connection; without `sync_from`, orders count from today in its zone.

    Raises ConnectionExists.
    """
    if settings.sync_from is None:
        today = now.astimezone(ZoneInfo(settings.timezone)).date()
        settings = settings.model_copy(update={"sync_from": today})
    added = await tx.fetchval(
        _SQL["add"], settings.id, _json(settings), settings.active, _sealed(cipher, api_key), now
    )
    if added is None:
        raise ConnectionExists(f"connection {settings.id} is there already; change it instead")
    if settings.active:
        await looks.start(tx, ConnectionId(settings.id), settings.deep_look_interval)
    if settings.push_stock:
        await stock_pushes.mark_all(tx, ConnectionId(settings.id))
    return await get(tx, ConnectionId(settings.id))


async def update(
    tx: "Tx",
    cipher: MultiFernet,
    settings: ConnectionSettings,
    *,
    expected_version: int | None = None,
    api_key: str | None = None,
) -> Connection:
    """Change a connection; its key and its `sync_from` stay where none is given.

    Tells nobody: see `resume` and `disabled`. Raises UnknownConnection, and StaleVersion when it
    is not at `expected_version`.
    """
    before = await lock(tx, ConnectionId(settings.id))
    if expected_version is not None and before.version != expected_version:
        raise StaleVersion(
            f"connection {before.id} is at version {before.version}, not {expected_version};"
            " nothing was changed: read it again, then change it"
        )
    if settings.sync_from is None:
        settings = settings.model_copy(update={"sync_from": before.settings.sync_from})
    await _store(tx, before, settings, _sealed(cipher, api_key))
    return await get(tx, before.id)


async def set_active(tx: "Tx", connection: ConnectionId, *, active: bool) -> bool:
    """Set the setting `active` alone; False when it is so already. Raises UnknownConnection."""
    before = await lock(tx, connection)
    if before.settings.active is active:
        return False
    await _store(tx, before, before.settings.model_copy(update={"active": active}), None)
    return True


async def _store(
    tx: "Tx", before: Connection, settings: ConnectionSettings, sealed_key: bytes | None
) -> None:
    values = (before.id, _json(settings), settings.active, sealed_key)
    await tx.execute(_SQL["update"], *values)
    if settings.active and not before.settings.active:
        await looks.start(tx, before.id, settings.deep_look_interval)
        await events.notify(tx, ["actions"])
    if settings.push_stock and _pushes_otherwise(before.settings, settings):
        await stock_pushes.mark_all(tx, before.id)
    if any(getattr(before.settings, key) != getattr(settings, key) for key in _DECIDE):
        await note_change(tx, before.id)
        await events.notify(tx, ["products"])


def _pushes_otherwise(before: ConnectionSettings, after: ConnectionSettings) -> bool:
    """True when the marketplace was told of no, or of other, products up to now."""
    keys = ("push_stock", "catalog", "product_id_attribute")
    return any(getattr(before, key) != getattr(after, key) for key in keys)


async def api_key(conn: "Conn", cipher: MultiFernet, connection: ConnectionId) -> str | None:
    """The API key; None when it was never given. Raises UnknownConnection, UnreadableKey."""
    row = await conn.fetchrow(_SQL["api_key"], connection)
    if row is None:
        raise _unknown(connection)
    return None if row["api_key"] is None else _opened(cipher, connection, row["api_key"])


async def unreadable(conn: "Conn", cipher: MultiFernet) -> set[ConnectionId]:
    """The connections whose API key cannot be opened with these secret keys."""
    rows = await conn.fetch(_SQL["sealed"])
    return await asyncio.to_thread(
        lambda: {row["id"] for row in rows if not _opens(cipher, row["api_key"])}
    )


async def rotate(tx: "Tx", cipher: MultiFernet) -> int:
    """Seal every API key with the first secret key; how many.

    Raises UnreadableKey, which names every one that cannot be opened; nothing is changed then.
    """
    rows = await tx.fetch(_SQL["keys"])
    unreadable = [row["id"] for row in rows if not _opens(cipher, row["api_key"])]
    if unreadable:
        raise UnreadableKey(
            f"nothing was changed: the API key of {', '.join(unreadable)} was sealed with a secret"
            " key that is not given; add it to SPARTOO_SYNC_SECRET_KEY, or give the API key again"
            " (`spartoo-sync connections set ID --api-key`)"
        )
    opened = [_opened(cipher, row["id"], row["api_key"]) for row in rows]
    sealed = [_sealed(cipher, key) for key in opened]
    await tx.execute(_SQL["replace_keys"], [row["id"] for row in rows], sealed)
    return len(rows)


async def suspend(
    tx: "Tx",
    connection: ConnectionId,
    reason: str,
    message: str,
    now: datetime,
    version: int | None = None,
) -> bool:
    """Stop calling until a person acts, and tell; False when it is suspended already.

    False too when it is no longer at the `version` that gave the reason.
    """
    if await tx.fetchval(_SQL["suspend"], connection, reason, message, now, version) is None:
        return False
    await events.append(
        tx, [_told(EventType.CONNECTION_SUSPENDED, connection, reason, message, now)]
    )
    return True


async def resume(
    tx: "Tx", connection: ConnectionId, reason: str, message: str, now: datetime
) -> bool:
    """Call again, and tell; False when it was not suspended.

    What the marketplace answers to calls begun before does not suspend it any more.
    """
    if not await tx.fetchval(_SQL["resume"], connection):
        return False
    await events.append(tx, [_told(EventType.CONNECTION_RESUMED, connection, reason, message, now)])
    found = await get(tx, connection)
    if found.settings.active:
        await looks.start(tx, connection, found.settings.deep_look_interval)
    await events.notify(tx, ["actions"])
    return True


async def disabled(tx: "Tx", connection: ConnectionId, now: datetime) -> bool:
    """Tell that it was switched off; False when it was suspended already."""
    return await suspend(tx, connection, BY_COMMAND, "disabled", now)


async def note_change(tx: "Tx", connection: ConnectionId) -> None:
    """The open orders of the connection are to be stepped once."""
    await tx.execute(_SQL["note_change"], connection)


async def take_change(tx: "Tx", but: Collection[ConnectionId]) -> ConnectionId | None:
    """A connection that changed, off the list with this transaction, `but` for these; or None."""
    connection: ConnectionId | None = await tx.fetchval(_SQL["take_change"], list(but))
    return connection


async def active_count(conn: "Conn") -> int:
    """How many are active; in a transaction nobody else counts until it ends (plan limit)."""
    await conn.execute(_SQL["lock_plan"])
    count: int = await conn.fetchval(_SQL["active_count"])
    return count


def _told(
    kind: EventType, connection: ConnectionId, reason: str, message: str, now: datetime
) -> Event:
    return Event(
        type=kind,
        source=f"/spartoo/{connection}",
        subject=connection,
        time=now,
        data={"connection": connection, "reason": reason, "message": message},
        connection=connection,
    )


def _json(settings: ConnectionSettings) -> bytes:
    return settings.model_dump_json(exclude={"id", "active"}).encode()


def _connection(row: Record) -> Connection:
    values: dict[str, Any] = dict(row)
    stored = orjson.loads(values.pop("settings"))
    known = {key: value for key, value in stored.items() if key in ConnectionSettings.model_fields}
    settings = ConnectionSettings.model_validate(
        {"id": values.pop("id"), "active": values.pop("active")} | known
    )
    return Connection(settings=settings, **values)


def _known(connection: ConnectionId, row: Record | None) -> Connection:
    if row is None:
        raise _unknown(connection)
    return _connection(row)


def _unknown(connection: ConnectionId) -> UnknownConnection:
    return UnknownConnection(
        f"there is no connection {connection};"
        " `spartoo-sync connections list` names those there are"
    )


def _sealed(cipher: MultiFernet, api_key: str | None) -> bytes | None:
    return None if api_key is None else cipher.encrypt(api_key.encode())


def _opens(cipher: MultiFernet, sealed: bytes) -> bool:
    try:
        cipher.decrypt(sealed)
    except InvalidToken:
        return False
    return True


def _opened(cipher: MultiFernet, connection: ConnectionId, sealed: bytes) -> str:
    try:
        return cipher.decrypt(sealed).decode()
    except InvalidToken as error:
        raise UnreadableKey(
            f"the API key of connection {connection} was sealed with another secret key;"
            " restore SPARTOO_SYNC_SECRET_KEY, or give the API key again"
        ) from error
