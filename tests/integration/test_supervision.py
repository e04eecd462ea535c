"""A task that ends unasked ends the daemon with its name, from its first moment to its last."""

import asyncio
import ssl
from pathlib import Path

import pytest

from daemon.http_tls import HttpTls
from daemon.main import run_daemon
from daemon.settings import load_settings
from daemon.supervisor import TaskEnded, supervise, unless_stopped
from tests.fixtures.certificates import Authority

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


async def fail() -> None:
    raise ssl.SSLError("nobody foresaw this")


async def until(stop: asyncio.Event) -> None:
    await stop.wait()


async def test_what_runs_beside_the_tasks_is_missed_and_stops_them() -> None:
    stop = asyncio.Event()
    beside = asyncio.create_task(fail(), name="certificate")
    with pytest.raises(TaskEnded, match="task certificate ended unexpectedly") as ended:
        await supervise({"poller": until}, stop, [beside])
    assert isinstance(ended.value.__cause__, ssl.SSLError)
    assert stop.is_set()


async def test_what_runs_beside_may_end_once_it_is_asked_to() -> None:
    stop = asyncio.Event()
    beside = asyncio.create_task(until(stop), name="certificate")
    stop.set()
    await supervise({"poller": until}, stop, [beside])
    assert not await unless_stopped(asyncio.Event().wait(), stop, [beside])


@pytest.mark.parametrize("database", ["away", "there"])
async def test_a_crash_of_the_certificates_renewal_is_seen(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    async def crash(_: HttpTls, stop: asyncio.Event) -> None:
        await fail()

    monkeypatch.setattr(HttpTls, "run", crash)
    certificate = Authority(tmp_path).issue("127.0.0.1")
    environ = {
        "SPARTOO_SYNC_DATABASE_URL": NOWHERE if database == "away" else database_url,
        "SPARTOO_SYNC_STATE_DIR": str(tmp_path),
        "SPARTOO_SYNC_HTTP_PORT": "0",
        "SPARTOO_SYNC_HTTP_TLS_CERT": str(certificate.certificate),
        "SPARTOO_SYNC_HTTP_TLS_KEY": str(certificate.key),
    }
    with pytest.raises(TaskEnded, match="certificate"):
        await asyncio.wait_for(run_daemon(load_settings(None, environ), asyncio.Event()), 20)
