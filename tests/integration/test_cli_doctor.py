"""`spartoo-sync doctor`: against real servers, each thing broken in turn and named."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from aiohttp import web
from cryptography.fernet import Fernet

from adapters.postgres import leases
from adapters.postgres.database import Database
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.node import free_ports
from adapters.rabbitmq.topology import COMMANDS, declare
from adapters.spartoo.simulator import Simulator
from adapters.spartoo.simulator.fault_kinds import AnsweredCode
from daemon.doctor.clock import compared
from daemon.doctor.finding import Finding, Status, findings, ok
from daemon.holdings import ROLES
from tests.fixtures.cli import Cli, Ran
from tests.fixtures.system import KEYS
from tests.unit.builders import NOW

SECOND = timedelta(seconds=1)
PREFIX = "SPARTOO_SYNC_"


@pytest.fixture
def http_port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def doctor(cli: Cli, monkeypatch: pytest.MonkeyPatch, http_port: int) -> Cli:
    """The command line with a free port and a secret key."""
    monkeypatch.setenv(f"{PREFIX}HTTP_PORT", str(http_port))
    monkeypatch.setenv(f"{PREFIX}SECRET_KEY", Fernet.generate_key().decode())
    return cli


@pytest.fixture
async def connected(doctor: Cli, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """As `doctor`, with an active connection to the simulator."""
    name, key = next(iter(KEYS.items()))
    monkeypatch.setenv("THE_KEY", key)
    given = (f"base_url={simulator.url}", "active=true")
    pairs = (argument for pair in given for argument in ("--set", pair))
    added = await doctor(
        *("connections", "add", "shoes-fr", "--site", "fr", "--api-key-env", "THE_KEY"), *pairs
    )
    assert added.status == 0, (name, added.err)
    return doctor


def of(ran: Ran, check: str) -> list[tuple[str, str, str]]:
    """What one check found: status, message, remedy."""
    return [
        (found["status"], found["message"], found["remedy"] or "")
        for found in ran.json["findings"]
        if found["check"] == check
    ]


async def examined(cli: Cli, check: str) -> tuple[str, str, str]:
    """The one finding of a check that is not well."""
    ran = await cli("doctor", "--json")
    (unwell,) = [found for found in of(ran, check) if found[0] != "ok"]
    assert ran.status == (1 if ran.json["status"] == "failed" else 0)
    assert unwell[2]
    return unwell


async def test_all_is_well_with_a_daemon_and_a_broker(
    connected: Cli,
    db: Database,
    amqp_url: str,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setenv(f"{PREFIX}AMQP_URL", amqp_url)
    await declare(broker)
    async with db.connection() as conn:
        for role in ROLES:
            await leases.hold(conn, role, "a daemon", timedelta(minutes=5))
    ran = await connected("doctor", "--json")
    assert [f for f in ran.json["findings"] if f["status"] != "ok"] == []
    assert (ran.status, ran.json["status"]) == (0, "ok")
    checks = {found["check"] for found in ran.json["findings"]}
    assert checks == {
        *("settings", "state directory", "secret key", "http port", "broker", "topology"),
        *("database", "schema", "rights", "clock", "daemon", "spartoo"),
    }
    assert len(of(ran, "clock")) == 2
    assert "shoes-fr: works" in of(ran, "spartoo")[0][1]
    told = await connected("doctor")
    assert (told.status, "0 warning, 0 failed" in told.out) == (0, True)


async def test_settings_are_told_with_their_origin_and_secrets_are_not(
    doctor: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('log_level = "error"\nhttp_token = "hush-hush"\n')
    ran = await doctor("doctor", "--config", config, "--json")
    told = [message for _, message, _ in of(ran, "settings")]
    assert f"log_level = error (log_level in {config})" in told
    assert f"http_token = (set, not shown) (http_token in {config})" in told
    assert f"database_url = (set, not shown) ({PREFIX}DATABASE_URL)" in told
    assert "http_host = 127.0.0.1 (default)" in told
    assert "hush-hush" not in ran.out + ran.err


async def test_wrong_settings_are_findings(doctor: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}HTTP_PORT", "many")
    status, message, _ = await examined(doctor, "settings")
    assert (status, f"{PREFIX}HTTP_PORT" in message) == ("failed", True)


async def test_without_a_daemon_and_a_broker_it_warns(doctor: Cli) -> None:
    assert (await examined(doctor, "daemon"))[:2] == ("warning", "none runs on this database")
    assert (await examined(doctor, "broker"))[0] == "warning"


async def test_a_database_that_is_not_there(doctor: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", "postgresql://eve:hush@127.0.0.1:1/none")
    ran = await doctor("doctor", "--json")
    ((status, _, remedy),) = of(ran, "database")
    assert (ran.status, status) == (1, "failed")
    assert f"{PREFIX}DATABASE_URL" in remedy
    assert "hush" not in ran.out


async def test_an_empty_database_needs_its_schema(
    doctor: Cli, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", empty_database)
    status, _, remedy = await examined(doctor, "schema")
    assert (status, "db upgrade" in remedy) == ("failed", True)


async def test_a_newer_schema_needs_a_newer_program(doctor: Cli, db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute("update alembic_version set version_num = '9999'")
    assert (await examined(doctor, "schema"))[2] == "upgrade the program"


async def test_a_role_that_lacks_rights(
    doctor: Cli, db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.connection() as conn:
        await conn.execute("drop role if exists doctor_reader")
        await conn.execute("create role doctor_reader login password 'x'")
        await conn.execute("grant select on all tables in schema public to doctor_reader")
        await conn.execute("grant insert, update, delete on orders to doctor_reader")
    parts = urlsplit(database_url)
    netloc = f"doctor_reader:x@{parts.netloc.rpartition('@')[2]}"
    url = urlunsplit(parts._replace(netloc=netloc))
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", url)
    try:
        ran = await doctor("doctor", "--json")
    finally:
        async with db.connection() as conn:
            await conn.execute("drop owned by doctor_reader")
            await conn.execute("drop role doctor_reader")
    lacking, create = of(ran, "rights")[::-1]
    assert lacking[0] == "failed"
    assert "update on actions" in lacking[1]
    assert "on orders," not in lacking[1]
    assert create[0] == "warning"


async def test_another_secret_key_does_not_open_the_api_keys(
    connected: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}SECRET_KEY", Fernet.generate_key().decode())
    ran = await connected("doctor", "--json")
    unwell = [found for found in of(ran, "secret key") if found[0] == "failed"]
    assert "connection shoes-fr" in unwell[0][1]
    assert of(ran, "spartoo")[0][0] == "failed"
    monkeypatch.delenv(f"{PREFIX}SECRET_KEY")
    status, message, _ = await examined(connected, "secret key")
    assert (status, "1 stored API keys cannot be opened" in message) == ("failed", True)


async def test_files_others_may_read(
    doctor: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "secret.key").write_bytes(Fernet.generate_key())
    (state / "secret.key").chmod(0o644)
    state.chmod(0o755)
    monkeypatch.delenv(f"{PREFIX}SECRET_KEY")
    assert f"chmod 600 {state}/secret.key" in (await examined(doctor, "secret key"))[2]
    assert f"chmod 700 {state}" in (await examined(doctor, "state directory"))[2]


async def test_a_broker_that_differs_or_is_empty(
    doctor: Cli, amqp_url: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}AMQP_URL", amqp_url)
    status, message, _ = await examined(doctor, "topology")
    assert (status, f"queue {COMMANDS}" in message) == ("warning", True)
    channel = await broker.channel()
    await channel.declare_queue(COMMANDS, durable=True)
    ran = await doctor("doctor", "--json")
    differs, missing = of(ran, "topology")
    assert (differs[0], f"delete_queue {COMMANDS}" in differs[2]) == ("failed", True)
    assert missing[0] == "warning"
    assert f"queue {COMMANDS}," not in missing[1]
    monkeypatch.setenv(f"{PREFIX}AMQP_URL", "amqp://eve:hush@127.0.0.1:1/")
    status, message, _ = await examined(doctor, "broker")
    assert (status, "hush" in message) == ("failed", False)


@pytest.mark.parametrize(("code", "status"), [(-2, "failed"), (-429, "warning")])
async def test_what_spartoo_answers(
    connected: Cli, simulator: Simulator, code: int, status: str
) -> None:
    simulator.faults.add(AnsweredCode(kind="code", code=code, count=1))
    assert (await examined(connected, "spartoo"))[0] == status


async def test_a_site_that_is_not_there(connected: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "F" * 16)
    elsewhere = ("base_url=http://127.0.0.1:1/mp", "--api-key-env", "OTHER_KEY")
    await connected("connections", "set", "shoes-fr", *elsewhere)
    status, message, _ = await examined(connected, "spartoo")
    assert (status, "not reachable" in message) == ("failed", True)


async def test_who_answers_at_the_port(doctor: Cli, http_port: int) -> None:
    answers: list[dict[str, object]] = []

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(answers.pop(0))

    app = web.Application()
    app.router.add_get("/{any}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", http_port).start()
    try:
        answers[:] = [{"hello": "you"}]
        assert "another program" in (await examined(doctor, "http port"))[1]
        answers[:] = [{"status": "alive"}, {"status": "not ready", "missing": ["broker"]}]
        assert "broker" in (await examined(doctor, "readiness"))[1]
        answers[:] = [{"status": "alive"}, {"status": "ready"}]
        assert "the daemon answers" in of(await doctor("doctor", "--json"), "http port")[0][1]
    finally:
        await runner.cleanup()


async def test_a_check_that_hangs_or_breaks_is_a_finding() -> None:
    async def hangs() -> AsyncIterator[Finding]:
        yield ok("one", "as it should be")
        await asyncio.Event().wait()

    async def breaks() -> AsyncIterator[Finding]:
        yield ok("two", "as it should be")
        raise ZeroDivisionError

    first, late = await findings("one", hangs, 0.05)
    assert (first.status, late.status) == (Status.OK, Status.FAILED)
    assert "no answer within 0.05 s" in late.message
    _, broken = await findings("two", breaks, 5)
    assert "ZeroDivisionError" in broken.message


@pytest.mark.parametrize(
    ("off", "status"),
    [(0, "ok"), (-3, "ok"), (4, "ok"), (30, "warning"), (-30, "warning"), (-600, "failed")],
)
def test_clocks_compared(off: int, status: str) -> None:
    found = compared("theirs", NOW + off * SECOND, NOW, NOW + SECOND / 2)
    assert found.status == status
    if off < -5:
        assert "ahead of" in found.message
    if off > 5:
        assert "behind" in found.message
