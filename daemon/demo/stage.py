"""What the demo is played on: a simulated marketplace, its catalogue, and the daemon's settings."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from adapters.catalog import product_update
from adapters.postgres.database import Database, Tx
from adapters.rabbitmq.connection import Broker
from adapters.spartoo.simulator import (
    AccountConfig,
    Simulator,
    SimulatorConfig,
    catalog_products,
    running_simulator,
)
from daemon.clock import utc_now
from daemon.demo.servers import empty_broker, empty_database, postgres, rabbitmq
from daemon.products import upsert_products
from daemon.settings import Settings
from daemon.transactions import in_transaction
from statemachine.model import CatalogId

AUTOMATIC, BY_HAND = "shoes-fr", "shoes-de"
ORDERS_PER_SECOND = 1.0
_INITIAL_ORDERS = 6
_SEED = 4  # both accounts are among the first orders, with good ones, cheap ones and sold-out ones


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything but the daemon itself, running."""

    directory: Path
    config: Path
    database: Database
    broker: Broker
    simulator: Simulator
    products: int


@asynccontextmanager
async def built_stage(settings: Settings, directory: Path) -> AsyncIterator[Stage]:
    """Start the servers and the simulator, import the catalogue, write the daemon's settings."""
    keys = {AUTOMATIC: secrets.token_hex(8), BY_HAND: secrets.token_hex(8)}
    async with AsyncExitStack() as stack:
        amqp_url = await stack.enter_async_context(rabbitmq(settings, directory / "rabbitmq"))
        dsn = await stack.enter_async_context(postgres(settings, directory / "postgres"))
        broker = await stack.enter_async_context(empty_broker(amqp_url))
        database = await stack.enter_async_context(empty_database(dsn))
        simulator = await stack.enter_async_context(running_simulator(_marketplace(keys)))
        products = await _import_catalogue(database)
        config = directory / "spartoo-sync.toml"
        config.touch(mode=0o600)
        config.write_text(_toml(directory, dsn, amqp_url, simulator.url, keys), encoding="utf-8")
        yield Stage(directory, config, database, broker, simulator, products)


def _marketplace(keys: dict[str, str]) -> SimulatorConfig:
    return SimulatorConfig(
        accounts=tuple(AccountConfig(name=name, key=key) for name, key in keys.items()),
        rate=ORDERS_PER_SECOND,
        initial_orders=_INITIAL_ORDERS,
        seed=_SEED,
    )


async def _import_catalogue(database: Database) -> int:
    updates = [product_update(fields) for fields in catalog_products()]

    async def store(tx: Tx) -> int:
        return await upsert_products(tx, CatalogId("default"), updates, utc_now())

    return await in_transaction(database, store)


def _toml(directory: Path, dsn: str, amqp_url: str, marketplace: str, keys: dict[str, str]) -> str:
    general = {
        "database_url": dsn,
        "amqp_url": amqp_url,
        "state_dir": str(directory),
        "http_port": 0,
        "log_format": "json",
    }
    tables = [_connection(name, key, marketplace) for name, key in keys.items()]
    return "\n".join([*_lines(general), *(line for table in tables for line in table), ""])


def _connection(name: str, key: str, marketplace: str) -> list[str]:
    values = {
        "id": name,
        "site": name.rpartition("-")[2],
        "base_url": marketplace,
        "api_key": key,
        "active": True,
        "auto_accept": name == AUTOMATIC,
        "poll_interval": "2s",
        "open_look_interval": "10s",
        "max_calls_per_hour": 100_000,
        "sync_from": (datetime.now(UTC) - timedelta(days=2)).date().isoformat(),
    }
    return ["", "[[connections]]", *_lines(values)]


def _lines(values: dict[str, object]) -> list[str]:
    """TOML: its texts, numbers and truth values are written as JSON's."""
    return [f"{key} = {orjson.dumps(value).decode()}" for key, value in values.items()]
