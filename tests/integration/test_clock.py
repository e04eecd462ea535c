"""One clock for all replicas: the database's, whatever the machine's own says."""

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import daemon.clock
from adapters.postgres import clock as database_clock
from adapters.postgres.database import Database
from adapters.postgres.errors import DatabaseUnavailable
from daemon.clock import Clock
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from tests.fixtures.certificates import Authority
from tests.fixtures.postgres import eventually
from tests.fixtures.tasks import running
from tests.fixtures.tls_postgres import TlsPostgres

ROOT = Path(__file__).parents[2]
YEAR = timedelta(days=365)
NEAR = timedelta(seconds=5)
_WALL_CLOCK = re.compile(r"datetime\.now\(|utcnow\(|time\.time\(|\butc_now\b")
_ONE_SHOT = {
    "adapters/spartoo/client.py",  # of the test call alone
    "daemon/clock.py",
    "daemon/uploads.py",  # ages of files, by the clock of the machine that wrote them
    "daemon/console/rendering.py",  # ages for who runs no script: with one, the browser tells them
    "daemon/demo/stage.py",
    "daemon/doctor/clock.py",  # they judge this machine's
    "daemon/doctor/database.py",
    "daemon/doctor/examination.py",
}


async def apart(clock: Clock, database: Database) -> timedelta:
    async with database.connection() as conn:
        return abs(clock() - await database_clock.now(conn))


@pytest.mark.parametrize("wrong", [YEAR, -YEAR, timedelta(minutes=3)], ids=str)
async def test_a_machine_whose_clock_is_wrong_has_the_databases(
    db: Database, monkeypatch: pytest.MonkeyPatch, wrong: timedelta
) -> None:
    monkeypatch.setattr(daemon.clock, "utc_now", lambda: datetime.now(UTC) + wrong)
    with capture_logs() as logs:
        clock = await Clock.of(db)
    assert await apart(clock, db) < NEAR
    (told,) = logs
    assert told["event"] == "this machine's clock differs from the database's"
    assert abs(told["seconds"] - wrong.total_seconds()) < NEAR.total_seconds()


async def test_a_jump_of_the_machines_clock_moves_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = await Clock.of(db)
    monkeypatch.setattr(daemon.clock, "utc_now", lambda: datetime.now(UTC) + YEAR)
    before = clock()
    assert timedelta() <= clock() - before < NEAR
    assert await clock.check() == timedelta()


async def test_another_database_clock_is_followed(db: Database) -> None:
    clock = Clock(db, datetime.now(UTC) + YEAR)
    assert abs(await clock.check() + YEAR) < NEAR
    assert await apart(clock, db) < NEAR


async def test_with_the_database_away_the_clock_counts_on(
    database_url: str, tmp_path: Path
) -> None:
    server = TlsPostgres(database_url)
    with server.with_certificate(Authority(tmp_path).issue("127.0.0.1")):
        database = await Database.open(server.url(sslmode="disable"))
        clock = await Clock.of(database)
    try:
        assert await clock.check() == timedelta()
        assert abs(clock() - datetime.now(UTC)) < NEAR
    finally:
        await database.close()


async def test_no_time_is_better_than_this_machines(database_url: str, tmp_path: Path) -> None:
    server = TlsPostgres(database_url)
    with server.with_certificate(Authority(tmp_path).issue("127.0.0.1")):
        database = await Database.open(server.url(sslmode="disable"))
    try:
        with pytest.raises(DatabaseUnavailable):
            await Clock.of(database)
    finally:
        await database.close()


async def test_a_machine_that_slept_trusts_none_of_its_holds(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have taken them over; the loop's own time has stood still meanwhile."""
    holdings = Holdings(db, Metrics())

    async def gained() -> bool:
        return holdings.epoch("commands") is not None

    async with running(_until_stopped, holdings):
        await eventually(gained)
    trusted = [holdings.fresh]
    awake = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: awake(clock) + 60)
    trusted.append(holdings.fresh)
    assert trusted == [True, False]
    assert holdings.turning


async def _until_stopped(stop: asyncio.Event) -> None:
    await stop.wait()


def test_nothing_that_runs_for_long_reads_the_machines_clock() -> None:
    reading = {
        str(path.relative_to(ROOT))
        for folder in ("daemon", "adapters", "statemachine")
        for path in (ROOT / folder).rglob("*.py")
        if "simulator" not in path.parts and _WALL_CLOCK.search(path.read_text(encoding="utf-8"))
    }
    assert reading == _ONE_SHOT
