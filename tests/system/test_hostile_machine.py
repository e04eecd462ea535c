"""Disks, files and rights that are not as they should be: a clear message, or waiting."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.errors import DatabaseUnavailable
from tests.fixtures.certificates import Authority
from tests.fixtures.daemon_process import RUN, environment
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System
from tests.fixtures.tls_postgres import TlsPostgres

# Root without the right to pass over the modes of files.
AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A directory that may not be written to."""
    directory = tmp_path / "locked"
    directory.mkdir()
    directory.chmod(0o555)
    yield directory
    directory.chmod(0o755)


async def run(system: System, **settings: object) -> tuple[int, str]:
    """`spartoo-sync run` without rights of root; how it ends and what it says."""
    config = system.settings(**settings)
    process = await asyncio.create_subprocess_exec(
        *(AS_OTHERS if os.getuid() == 0 else ()),
        *RUN,
        str(config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(config.parent),
        cwd=config.parent,
    )
    try:
        async with asyncio.timeout(40):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode()


async def test_a_state_directory_that_cannot_be_written_is_named(
    offline: System, locked: Path
) -> None:
    server = TlsPostgres(offline.dsn)  # its socket may be another user's
    with server.with_certificate(Authority(locked.parent).issue("127.0.0.1")):
        url = server.url(sslmode="disable")
        status, said = await run(offline, state_dir=str(locked / "state"), database_url=url)
    assert status == 2
    last = said.splitlines()[-1]
    assert last.startswith(f"error: secret key {locked}/state/secret.key: ")
    assert "Traceback" not in said
    status, said = await run(offline, state_dir=str(locked / "state"), database_url=None)
    assert status == 1
    assert f"{locked}/state" in said.splitlines()[-1]
    assert "Traceback" not in said


async def test_a_secret_that_may_not_be_read_is_named(offline: System, locked: Path) -> None:
    secret = locked.parent / "secret"
    secret.write_text("pa55word")
    secret.chmod(0o000)
    status, said = await run(offline, http_token_file=str(secret))
    assert status == 2
    assert f"http_token_file = '{secret}': file: Permission denied" in said
    assert "Traceback" not in said


async def test_a_right_that_is_taken_away_is_waited_for(offline: System) -> None:
    """A grant forgotten after an upgrade stops nothing but what needs it."""
    role = f"lesser_{os.getpid()}"
    superuser = await asyncpg.connect(offline.dsn)
    try:
        await superuser.execute(
            f"create role {role} login;"
            f"grant select, insert, update, delete on all tables in schema public to {role}"
        )
        offline.connect("manual")
        daemon = await offline.run(database_url=offline.dsn.replace("postgres@", f"{role}@", 1))
        await superuser.execute(f"revoke update on looks, leases, actions from {role}")

        async def told() -> bool:
            lines = [r.get("error", "") for r in daemon.logs() if r["level"] == "warning"]
            return any("permission denied for table" in line for line in lines)

        await eventually(told, 40)
        (order,) = offline.place("manual")
        await superuser.execute(f"grant update on looks, leases, actions to {role}")
        await offline.reaches({order.id: "pending_manual"})
        assert await daemon.terminate() == 0
    finally:
        await superuser.execute(f"drop owned by {role}; drop role {role}")
        await superuser.close()


async def test_a_failing_disk_of_the_database_is_waited_for(db: Database) -> None:
    """What PostgreSQL says of a read-only or broken disk counts as being away."""
    with pytest.raises(DatabaseUnavailable, match="Read-only file system"):
        async with db.transaction() as tx:
            await tx.execute(
                "do $$ begin raise exception 'could not extend file: Read-only file system'"
                " using errcode = '58030'; end $$"
            )
