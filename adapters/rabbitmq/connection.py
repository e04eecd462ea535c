"""The one connection to RabbitMQ, and the translation of everything that can go wrong with it.

It does not reconnect by itself: whoever gets BrokerUnavailable calls `connect()` again, later.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from adapters.ports import BrokerUnavailable
from adapters.rabbitmq.tolerance import accept_malformed_properties
from adapters.tls import check_files, tls_fault

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 10
_TLS_FILES = ("cafile", "certfile", "keyfile")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the client library's errors into BrokerUnavailable, cause kept."""
    try:
        yield
    except BrokerUnavailable:
        raise
    except TimeoutError as error:
        raise BrokerUnavailable(f"{doing}: RabbitMQ did not answer in time") from error
    except CONNECTION_EXCEPTIONS as error:
        raise BrokerUnavailable(f"{doing}: {describe(error)}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling() > 0:
            raise
        raise BrokerUnavailable(f"{doing}: the connection was closed") from error  # by the library


def describe(error: BaseException) -> str:
    """What an error of the client library says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


class Broker:
    """A connection to RabbitMQ, made with `connect()`, gone when `closed`."""

    def __init__(self, url: str) -> None:
        """Raises ValueError when `url` is no AMQP address."""
        self._url = _parse(url)
        self._connection: AbstractConnection | None = None
        self._connecting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Broker({self.address})"

    @property
    def address(self) -> str:
        """Host, port and virtual host: what may be shown."""
        port = self._url.port or (5671 if self._url.scheme == "amqps" else 5672)
        return f"{self._url.host}:{port}, virtual host {self._url.path[1:] or '/'}"

    @property
    def closed(self) -> bool:
        """True before `connect()`, after `close()`, and when the connection was lost."""
        return self._connection is None or not self._connection.connected.is_set()

    @property
    def major_version(self) -> int:
        """Of RabbitMQ, as it said when connected; 0 where it said none."""
        transport = self._connection.transport if self._connection else None
        known = getattr(getattr(transport, "connection", None), "server_properties", None)
        version = str(known.get("version", "")) if isinstance(known, dict) else ""
        major = version.partition(".")[0]
        return int(major) if major.isdecimal() else 0

    async def connect(self) -> None:
        """Connect unless connected. Raises BrokerUnavailable, which never names the password."""
        async with self._connecting:
            if not self.closed:
                return
            await self._discard()
            try:
                with translated(f"RabbitMQ at {self.address}"):
                    self._connection = await self._open()
            except BrokerUnavailable as error:
                raise BrokerUnavailable(f"{error}{_remedy(error.__cause__)}") from error.__cause__
            self._connection.close_callbacks.add(self._lost)
            log.info("connected to RabbitMQ", address=self.address)

    async def close(self) -> None:
        """Close the connection; what is not acknowledged goes back to its queue."""
        async with self._connecting:
            await self._discard()

    async def channel(self, *, confirms: bool = False) -> AbstractChannel:
        """Open a channel of its own. Raises BrokerUnavailable."""
        if self._connection is None or self.closed:
            raise BrokerUnavailable(f"not connected to RabbitMQ at {self.address}")
        with translated("opening a channel"):
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._connection.channel(
                    publisher_confirms=confirms, on_return_raises=confirms
                )

    async def blocked(self) -> bool:
        """True while RabbitMQ refuses to read what is published (memory or disk alarm)."""
        if self._connection is None or self._connection.transport is None:
            return False
        try:
            async with asyncio.timeout(0):
                await self._connection.transport.ready()
        except TimeoutError:
            return True
        return False

    async def _open(self) -> AbstractConnection:
        accept_malformed_properties()
        check_files(str(self._url), _TLS_FILES)
        try:
            return await aio_pika.connect(
                self._url,
                timeout=CONNECT_SECONDS,
                heartbeat=HEARTBEAT_SECONDS,
                client_properties={"connection_name": "spartoo-sync"},
            )
        except CONNECTION_EXCEPTIONS as error:
            fault = tls_fault(error, "RabbitMQ") if self._url.scheme == "amqps" else None
            if fault is None:
                raise
            raise OSError(fault) from error

    async def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            with translated("closing the connection"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await connection.close()
        except BrokerUnavailable as error:
            log.debug("closed a lost connection", error=str(error))

    def _lost(self, connection: Any, error: BaseException | None) -> None:
        if connection is self._connection:
            log.warning("lost RabbitMQ", address=self.address, error=describe(error or OSError()))


def _parse(url: str) -> URL:
    try:
        parsed = URL(url)
        parsed.port  # noqa: B018 - reading it checks it
    except ValueError:
        parsed = URL()
    if parsed.scheme not in {"amqp", "amqps"} or not parsed.host:
        raise ValueError("the RabbitMQ address must look like amqp://user:password@host/vhost")
    return parsed


def _remedy(error: BaseException | None) -> str:
    if isinstance(error, ProbableAuthenticationError):
        return "; check the user and the password in the RabbitMQ address"
    if isinstance(error, InvalidFrameError) and "Connection.Close" in str(error):
        return (
            "; RabbitMQ refused the virtual host: create it (rabbitmqctl add_vhost)"
            " or give the user permissions on it (rabbitmqctl set_permissions)"
        )
    return ""
