"""What a process knows of its roles, and of the others, while the database is away or slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
from structlog.testing import capture_logs

from adapters.postgres import processes
from adapters.postgres.database import Database
from daemon.clock import counter
from daemon.holdings import _CLAIM_SECONDS, _RENEW_SECONDS, _SILENT, HOLD, ROLES, Holdings
from daemon.metrics import Metrics
from tests.fixtures.postgres import eventually, may_stand_idle, waits_for_a_lock


@asynccontextmanager
async def renewing(*holdings: Holdings) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in holdings]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_what_a_dead_process_held_is_free_within_five_seconds() -> None:
    promised = timedelta(seconds=5)
    assert HOLD + timedelta(seconds=_CLAIM_SECONDS) < promised
    assert _SILENT + timedelta(seconds=_RENEW_SECONDS) < promised


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


async def test_who_was_slow_itself_does_not_judge_the_others(
    db: Database, database_url: str
) -> None:
    """The database may have been slow for all of them; a punctual renewal later it does."""
    holdings, other = Holdings(db, Metrics()), await Database.open(database_url)

    async def slow() -> bool:
        too_long = counter() - begun > HOLD.total_seconds() * 0.8
        return too_long and await waits_for_a_lock(other)

    try:
        async with other.connection() as conn:
            with capture_logs() as logs:
                await holdings._renew()
                await processes.heartbeat(conn, other.holder, timedelta(0))
                async with conn.transaction():
                    await may_stand_idle(conn)
                    await conn.execute("lock table looks in access exclusive mode")
                    begun = counter()
                    renewing = asyncio.create_task(holdings._renew())
                    await eventually(slow)
                await renewing
                await holdings._renew()
                assert not [line for line in logs if line["log_level"] == "warning"]
                await holdings._renew()
            assert [line.get("holder") for line in logs if "not heard of" in line["event"]] == [
                other.holder
            ]
    finally:
        await other.close()
