"""What a process knows of its roles, and of the others, while the database is away or slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
from structlog.testing import capture_logs

from adapters.postgres.database import Database
from daemon.holdings import ROLES, Holdings
from daemon.metrics import Metrics
from tests.fixtures.postgres import eventually


@asynccontextmanager
async def renewing(*holdings: Holdings) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in holdings]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_is_cut_off_from_the_database_leads_nothing(
    db: Database, database_url: str, postgres_server: str
) -> None:
    metrics = Metrics()
    holdings = Holdings(db, metrics)
    name = urlsplit(database_url).path[1:]

    def leads() -> set[float | None]:
        value = metrics.registry.get_sample_value
        return {value("spartoo_sync_leader", {"role": role}) for role in ROLES}

    async def leads_all() -> bool:
        return holdings.fresh and leads() == {1}

    async def leads_nothing() -> bool:
        return leads() == {0}

    admin = await asyncpg.connect(postgres_server)
    try:
        async with renewing(holdings):
            await eventually(leads_all)
            await admin.execute(f'alter database "{name}" with allow_connections false')
            await admin.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
            )
            await eventually(leads_nothing)
            await admin.execute(f'alter database "{name}" with allow_connections true')
            await eventually(leads_all)
    finally:
        await admin.close()


async def test_a_database_that_is_slow_for_everyone_costs_nobody_its_sessions(
    db: Database, database_url: str
) -> None:
    """Each finds the other silent for too long, and itself too: it is not for them to judge."""
    other_db = await Database.open(database_url)
    both = [Holdings(db, Metrics()), Holdings(other_db, Metrics())]
    silent = "select count(*) = 2 and max(expires_at) < clock_timestamp() from processes"

    async def renewed() -> bool:
        return all(one.fresh for one in both)

    async def heard_of_nobody() -> bool:
        async with db.connection() as conn:
            return bool(await conn.fetchval(silent))

    async def heard_of_all() -> bool:
        return not await heard_of_nobody()

    try:
        with capture_logs() as logs:
            async with renewing(*both):
                await eventually(renewed)
                async with db.transaction() as tx:
                    await tx.execute("lock table looks in access exclusive mode")
                    await eventually(heard_of_nobody)
                await eventually(renewed)
                await eventually(heard_of_all)
        assert not [line["event"] for line in logs if line["log_level"] == "warning"]
    finally:
        await other_db.close()
