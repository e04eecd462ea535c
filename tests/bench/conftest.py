"""What every benchmark has: the machine told once a run, and the simulator as a process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.rabbitmq.node import PrivateRabbitMQ
from tests.bench.figures import show_machine
from tests.bench.marketplace import (
    BARE_ACCOUNT,
    DAEMONS_ACCOUNT,
    Marketplace,
    running_marketplace,
)
from tests.fixtures.system import KEYS


@pytest.fixture(scope="session", autouse=True)
def machine(postgres_server: str, rabbitmq_server: PrivateRabbitMQ | str) -> None:
    """Say once a run what it measures with."""
    url = rabbitmq_server if isinstance(rabbitmq_server, str) else rabbitmq_server.url()
    asyncio.run(show_machine(postgres_server, url))


@pytest.fixture
async def marketplace(tmp_path: Path) -> AsyncIterator[Marketplace]:
    """A marketplace with an account for the daemon, and one for bare posts."""
    keys = {name: KEYS[name] for name in (DAEMONS_ACCOUNT, BARE_ACCOUNT)}
    async with running_marketplace(tmp_path, keys) as marketplace:
        yield marketplace
