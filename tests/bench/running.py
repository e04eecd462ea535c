"""The daemon under measurement, and the waiting for what it is to do."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.catalog.product import product_update
from adapters.postgres.database import Database
from adapters.spartoo.simulator import catalog_products
from daemon.products import upsert_products
from statemachine.model import CatalogId
from tests.bench.exports import Exports
from tests.bench.marketplace import DAEMONS_ACCOUNT, Marketplace
from tests.fixtures.checks import check_events, check_paths
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.koongo import Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import KEYS, UNLIMITED, toml

PATIENCE = 1800
PLENTY = 1_000_000_000
ALL_THERE = """
select
    (select count(*) from orders where state = $1) = $2
    and relay.position >= (select max(position) from events)
from relay
"""


@asynccontextmanager
async def running_daemon(
    marketplace: Marketplace | Exports,
    dsn: str,
    amqp_url: str,
    directory: Path,
    **settings: Any,
) -> AsyncIterator[Daemon]:
    """A daemon with one connection, which looks once an hour unless `settings` say otherwise."""
    shop = {"id": "shop", "api_key": KEYS[DAEMONS_ACCOUNT]} | settings
    async with running_with(marketplace, dsn, amqp_url, directory, [shop]) as daemon:
        yield daemon


@asynccontextmanager
async def running_with(
    marketplace: Marketplace | Exports,
    dsn: str,
    amqp_url: str,
    directory: Path,
    connections: Iterable[Mapping[str, Any]],
) -> AsyncIterator[Daemon]:
    """A daemon with connections of these settings, at least an id and a key."""
    plain = {
        "database_url": dsn,
        "amqp_url": amqp_url,
        "state_dir": str(directory / "state"),
        "http_port": 0,
        "log_format": "json",
    }
    usual = {
        "base_url": marketplace.url,
        "active": True,
        "poll_interval": 3600,
        "open_look_interval": 3600,
        "max_calls_per_hour": UNLIMITED,
        "default_shipping_service": "Colissimo",
    }
    declared = (f"\n[[connections]]\n{toml(usual | {**given})}" for given in connections)
    config = directory / "settings.toml"
    config.write_text(toml(plain) + "".join(declared), encoding="utf-8")
    daemon = await Daemon(config, directory / "daemon.log").start()
    try:
        yield await daemon.wait_ready()
    finally:
        await daemon.kill()


async def fill_catalogue(db: Database) -> None:
    """As much of every product as any benchmark orders."""
    updates = [product_update(fields) for fields in catalog_products(PLENTY)]
    async with db.transaction() as tx:
        await upsert_products(tx, CatalogId("default"), updates, datetime.now(UTC))


async def in_state(db: Database, state: str, count: int) -> None:
    """Wait until so many orders are there, and everything is published."""

    async def there() -> bool:
        await asyncio.sleep(0.3)
        async with db.connection() as conn:
            return bool(await conn.fetchval(ALL_THERE, state, count))

    await eventually(there, PATIENCE)


async def check_published(db: Database, consumer: Consumer) -> None:
    """Every event arrived, per order in its order."""
    async with db.connection() as conn:
        events: int = await conn.fetchval("select count(*) from events")

    async def arrived() -> bool:
        await asyncio.sleep(0.3)
        return len(consumer.first_arrivals()) >= events

    await eventually(arrived, PATIENCE)
    check_events(consumer.messages)
    check_paths(consumer.first_arrivals())
