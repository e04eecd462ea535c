"""`run` and `simulator`: they stay until they are stopped, or say at once why they cannot start."""

import asyncio
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from adapters.postgres.database import Database
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.products import upsert_products
from statemachine.model import CatalogId, ProductId, ProductUpdate
from tests.fixtures.daemon_process import environment
from tests.fixtures.postgres import eventually, may_stand_idle


@asynccontextmanager
async def program(directory: Path, *arguments: str, **given: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon.cli", *arguments),
        stdout=PIPE,
        stderr=PIPE,
        env=environment(directory) | {"SPARTOO_SYNC_STATE_DIR": str(directory)} | given,
    )
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_an_import_that_freezes_gives_up_what_it_has_locked(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    """A daemon at work ends its sessions, in the midst of a statement too."""
    file = tmp_path / "products.csv"
    file.write_text("id,stock\nA,1\nB,2\n", encoding="utf-8")
    async with db.transaction() as tx:
        products = [ProductUpdate(ProductId(name), stock=0) for name in "AB"]
        await upsert_products(tx, CatalogId("default"), products, datetime.now(UTC))
    catalogue = (
        "select count(*) from pg_locks join pg_stat_activity using (pid)"
        " where locktype = 'advisory' and granted and datname = current_database()"
    )

    async def locked() -> bool:
        async with db.connection() as conn:
            return bool(await conn.fetchval(catalogue))

    async def free() -> bool:
        return not await locked()

    holdings = Holdings(db, Metrics())
    holding = asyncio.ensure_future(holdings.run())
    url = {"SPARTOO_SYNC_DATABASE_URL": database_url}
    try:
        async with program(tmp_path, "catalog", "import", str(file), **url) as importing:
            async with db.transaction() as tx:
                await may_stand_idle(tx)
                await tx.execute("select from products where id = 'B' for update")
                await eventually(locked, 20)
                importing.send_signal(signal.SIGSTOP)
                await eventually(free, 9)  # the server itself would have waited for 15 s
            importing.send_signal(signal.SIGCONT)
            _, said = await importing.communicate()
            assert importing.returncode == 1
            assert b"import the file again to go on" in said
    finally:
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)


async def test_the_simulator_answers_until_it_is_stopped(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--orders", "3", "--rate", "0", "--account", f"me={'A' * 16}")
    async with program(tmp_path, "simulator", *arguments) as process:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
        found = re.search(r"(http://127\.0\.0\.1:\d+)/mp", line)
        assert found
        assert "A" * 16 not in line
        form = {"partenaire": "A" * 16, "date": "2020-01-01:00:00:00"}
        async with aiohttp.ClientSession() as session:
            url = f"{found[1]}/mp/xml_export_orders.php"
            async with session.post(url, data=form) as answer:
                assert (await answer.text()).count("<orders_id>") == 3
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


@pytest.mark.parametrize("command", ["simulator", "run"])
async def test_a_port_that_is_taken_is_one_line(
    tmp_path: Path, command: str, taken_port: int
) -> None:
    port = ("--port", str(taken_port)) if command == "simulator" else ()
    given = {} if port else {"SPARTOO_SYNC_HTTP_PORT": str(taken_port)}
    async with program(tmp_path, command, *port, **given) as process:
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"ddress already in use" in err
    assert str(taken_port).encode() in err
    assert b"Traceback" not in err


async def test_run_does_not_touch_a_newer_database(
    tmp_path: Path, db: Database, database_url: str
) -> None:
    async with db.connection() as conn:
        await conn.execute("update alembic_version set version_num = '9999'")
    given = {"SPARTOO_SYNC_DATABASE_URL": database_url, "SPARTOO_SYNC_HTTP_PORT": "0"}
    async with program(tmp_path, "run", **given) as process:
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"nothing was changed: upgrade the program" in err
    assert b"Traceback" not in err


async def test_run_applies_declared_connections_and_ends_on_sigterm(
    tmp_path: Path, db: Database, database_url: str
) -> None:
    config = tmp_path / "spartoo-sync.toml"
    config.write_text(
        f'database_url = "{database_url}"\nhttp_port = 0\nlog_format = "json"\n'
        '[[connections]]\nid = "shoes-fr"\nsite = "fr"\napi_key = "0123456789ABCDEF"\n'
    )
    async with program(tmp_path, "run", "--config", str(config)) as process:
        assert process.stderr is not None
        shown = b""
        while b"declared connection applied" not in shown:
            line = await process.stderr.readline()
            assert line, shown
            shown += line
        process.send_signal(signal.SIGTERM)
        await process.stderr.read()
        assert await process.wait() == 0
    assert b"0123456789ABCDEF" not in shown
