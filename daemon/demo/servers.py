"""The servers a demo needs: given by the environment and empty, or private and gone afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.postgres import connections, migrate
from adapters.postgres.database import Database
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.node import PrivateRabbitMQ
from adapters.rabbitmq.topology import ORDERS, declare
from daemon.demo.failed import DemoFailed
from daemon.settings import Settings
from daemon.wiring import embedded_postgres


@asynccontextmanager
async def postgres(settings: Settings, directory: Path) -> AsyncIterator[str]:
    """The DSN of a database without connections."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with embedded_postgres(directory) as dsn:
        yield dsn


@asynccontextmanager
async def rabbitmq(settings: Settings, directory: Path) -> AsyncIterator[str]:
    """The address of a virtual host. Raises RabbitMQMissing, RabbitMQFailed."""
    if settings.amqp_url is not None:
        yield settings.amqp_url.get_secret_value()
        return
    async with PrivateRabbitMQ(directory) as node:
        yield node.url()


@asynccontextmanager
async def empty_database(dsn: str) -> AsyncIterator[Database]:
    """The database, its schema current. Raises DemoFailed when somebody uses it already."""
    await migrate.upgrade(dsn)
    database = await Database.open(dsn, max_size=4)
    try:
        async with database.connection() as conn:
            if await connections.names(conn, 1):
                raise DemoFailed(
                    "the database holds connections already, nothing was changed; the demo needs"
                    " an empty one: unset SPARTOO_SYNC_DATABASE_URL, or name another"
                )
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def empty_broker(url: str) -> AsyncIterator[Broker]:
    """The broker, everything declared. Raises DemoFailed when its events have other readers."""
    broker = Broker(url)
    await broker.connect()
    try:
        await declare(broker)
        channel = await broker.channel()
        found = (await channel.declare_queue(ORDERS, passive=True)).declaration_result
        if found.message_count or found.consumer_count:
            raise DemoFailed(
                f"the queue {ORDERS} has messages or consumers, none was touched; the demo needs an"
                " empty virtual host: unset SPARTOO_SYNC_AMQP_URL, or name another"
            )
        await channel.close()
        yield broker
    finally:
        await broker.close()
