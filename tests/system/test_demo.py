"""`spartoo-sync demo`: what a person runs first shows the whole way, and leaves nothing behind."""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.postgres.database import Database
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.topology import ORDERS, declare
from tests.fixtures.daemon_process import environment
from tests.fixtures.postgres import add_connection
from tests.unit.builders import settings


@asynccontextmanager
async def demo(directory: Path, *arguments: str, **given: str) -> AsyncIterator[Process]:
    """The demo as a process of its own, its files below the directory."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon.cli", "demo", *arguments),
        stdout=PIPE,
        stderr=PIPE,
        env=environment(directory) | {"TMPDIR": str(directory)} | given,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def processes_of(directory: Path) -> list[str]:
    """Command lines that name something below the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if str(directory) in line:
            found.append(line)
    return found


def files_of(directory: Path) -> list[Path]:
    return list(directory.glob("spartoo-sync-demo-*"))


async def test_the_demo_ends_by_itself_and_judges_what_it_showed(tmp_path: Path) -> None:
    async with demo(tmp_path, "--seconds", "8") as process, asyncio.timeout(100):
        out, err = (stream.decode() for stream in await process.communicate())
    assert (process.returncode, err) == (0, ""), out
    for part in ("order.new.shoes-", "order.pending_manual.shoes-de", "accepts it by a command"):
        assert part in out
    assert re.search(r"order\.synced\.shoes-de +[0-9A-F]{16} #4", out)
    assert re.search(r"database +\d+ orders: .*\d+ synced", out)
    assert out.count("✓") == 5
    assert "✗" not in out
    assert "all as it must be" in out
    assert processes_of(tmp_path) == []
    assert files_of(tmp_path) == []


async def test_ctrl_c_ends_the_demo_and_everything_it_started(
    tmp_path: Path, database_url: str, amqp_url: str
) -> None:
    given = {
        "SPARTOO_SYNC_DATABASE_URL": database_url,
        "SPARTOO_SYNC_AMQP_URL": amqp_url,
    }
    async with demo(tmp_path, **given) as process, asyncio.timeout(60):
        assert process.stdout is not None
        shown = ""
        while "orders accept shoes-de" not in shown:
            line = await process.stdout.readline()
            assert line, shown
            shown += line.decode()
        assert processes_of(tmp_path) != []  # the daemon, by its settings file
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b""), shown
    assert "everything in it is gone" in out.decode()
    assert processes_of(tmp_path) == []
    assert files_of(tmp_path) == []


async def test_ctrl_c_while_starting_leaves_nothing(tmp_path: Path) -> None:
    async with demo(tmp_path) as process, asyncio.timeout(60):
        assert process.stdout is not None
        assert b"starting" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"stopped while starting" in err
    assert processes_of(tmp_path) == []
    assert files_of(tmp_path) == []


async def refused(directory: Path, database_url: str, amqp_url: str) -> str:
    """What a demo says that does not begin."""
    given = {"SPARTOO_SYNC_DATABASE_URL": database_url, "SPARTOO_SYNC_AMQP_URL": amqp_url}
    async with demo(directory, "--seconds", "5", **given) as process, asyncio.timeout(60):
        _, err = await process.communicate()
    assert process.returncode == 1
    return err.decode()


async def test_the_demo_does_not_touch_a_database_in_use(
    db: Database, database_url: str, amqp_url: str, tmp_path: Path
) -> None:
    await add_connection(db, settings())
    err = await refused(tmp_path, database_url, amqp_url)
    assert "holds connections already" in err
    assert "unset SPARTOO_SYNC_DATABASE_URL" in err


async def test_the_demo_does_not_take_other_peoples_messages(
    broker: Broker, database_url: str, amqp_url: str, tmp_path: Path
) -> None:
    await declare(broker)
    queue = await (await broker.channel()).get_queue(ORDERS)
    async with queue.iterator():
        err = await refused(tmp_path, database_url, amqp_url)
    assert f"queue {ORDERS} has messages or consumers" in err
