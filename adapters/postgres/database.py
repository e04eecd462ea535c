"""The pool: connections, transactions and wake-ups of one process."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self, TypeAlias

import asyncpg

from adapters.postgres.codec import register
from adapters.postgres.connecting import connect
from adapters.postgres.errors import DatabaseUnavailable, translated
from adapters.postgres.wakeups import Wakeups

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from asyncpg.pool import PoolConnectionProxy

Conn: TypeAlias = "asyncpg.Connection[Record] | PoolConnectionProxy[Record]"
Tx: TypeAlias = Conn  # a connection inside a transaction

_CLOSE_SECONDS = 5
_HOST_LENGTH = 30  # of the 63 bytes of a session's name
_SERVER_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",  # every statement is short
    "plan_cache_mode": "force_custom_plan",  # one connection holds a million orders, another ten
    "statement_timeout": "30s",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "4s",  # as its holds: a frozen process gives its rows up
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


async def _leave(_connection: "Connection[Record]") -> None:
    """Nothing to reset: no setting, lock or cursor of ours outlives its transaction."""


def _new_holder() -> str:
    """A name no other process has; the end of a host's name is what tells replicas apart."""
    host = socket.gethostname().encode("ascii", "replace").decode()[-_HOST_LENGTH:]
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


async def _pool(dsn: str, holder: str, max_size: int) -> "asyncpg.Pool[Record]":
    """A pool that connects when it is first used."""
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        init=register,
        reset=_leave,
        timeout=10,
        command_timeout=60,
        connect=connect,
        server_settings={**_SERVER_SETTINGS, "application_name": f"spartoo-sync {holder}"},
    )


async def _close(pool: "asyncpg.Pool[Record]") -> None:
    try:
        with translated():
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()
    except DatabaseUnavailable:
        pool.terminate()


class Database:
    """One pool of one process. It outlives a restart of the server: lost connections are replaced.

    Errors of the driver leave `transaction` and `connection` as DatabaseUnavailable or Conflict.
    Its sessions bear the name of `holder`, by which others end them should this process freeze.
    """

    def __init__(
        self,
        holder: str,
        pool: "asyncpg.Pool[Record]",
        reserved: "asyncpg.Pool[Record]",
        wakeups: Wakeups,
    ):
        self.holder = holder
        self._pool = pool
        self._reserved = reserved
        self.wakeups = wakeups

    @classmethod
    async def open(cls, dsn: str, *, max_size: int = 10) -> Self:
        """Connect. Raises DatabaseUnavailable, UnusableUrl."""
        holder = _new_holder()
        with translated():
            pool, reserved = await _pool(dsn, holder, max_size), await _pool(dsn, holder, 1)
            async with pool.acquire():
                pass
        return cls(holder, pool, reserved, Wakeups(dsn))

    async def close(self) -> None:
        """Give every connection back; those in use after a few seconds, or broken, are cut."""
        await self.wakeups.close()
        await asyncio.gather(_close(self._pool), _close(self._reserved))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        """A connection; every statement is its own transaction."""
        with translated():
            async with self._pool.acquire() as connection:
                yield connection

    @asynccontextmanager
    async def reserved(self) -> AsyncIterator[Conn]:
        """The one connection that no other work takes: for what must never wait for a place."""
        with translated():
            async with self._reserved.acquire() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A transaction: all of it is kept at the end of the block, or nothing on an error."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                yield connection
