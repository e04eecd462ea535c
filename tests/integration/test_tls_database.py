"""TLS to PostgreSQL: what the URL asks for holds for pool, migrations and wake-ups alike."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.postgres import events, migrate
from adapters.postgres.database import Database
from adapters.postgres.errors import DatabaseUnavailable, UnusableUrl
from daemon.wiring import open_database
from tests.fixtures.certificates import Authority
from tests.fixtures.postgres import eventually
from tests.fixtures.tls_postgres import TlsPostgres


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(database_url: str) -> TlsPostgres:
    if "host=" not in database_url:
        pytest.skip("the terminator stands in front of the embedded server's socket")
    return TlsPostgres(database_url)


async def refusal(url: str) -> str:
    """How the pool says that it does not connect; migrations do not either."""
    with pytest.raises(DatabaseUnavailable) as by_pool:
        await Database.open(url)
    with pytest.raises(DatabaseUnavailable):
        await migrate.upgrade(url)
    return str(by_pool.value)


async def test_pool_migrations_and_wakeups_are_encrypted_and_checked(
    server: TlsPostgres, authority: Authority
) -> None:
    with server.with_certificate(authority.issue("127.0.0.1")):
        url = server.url(sslmode="verify-full", sslrootcert=authority.file)
        await migrate.upgrade(url)
        assert server.encrypted == 1
        database = await Database.open(url)
        assert server.encrypted == 2
        try:
            waiting = asyncio.create_task(_heard(database))
            await eventually(lambda: _is(server, 3))

            async def heard() -> bool:
                async with database.transaction() as tx:
                    await events.notify(tx, ["looks"])
                return waiting.done()

            await eventually(heard)
        finally:
            await database.close()


async def _is(server: TlsPostgres, encrypted: int) -> bool:
    return server.encrypted >= encrypted


async def _heard(database: Database) -> None:
    await database.wakeups.wait("looks", 10)  # the first tells that it listens
    await database.wakeups.wait("looks", 10)


async def test_an_unknown_authority_and_a_wrong_name_are_refused_with_the_reason(
    server: TlsPostgres, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    with server.with_certificate(authority.issue("127.0.0.1")):
        said = await refusal(server.url(sslmode="verify-full", sslrootcert=other.file))
        assert "the certificate of the database is not accepted here: unable to get local" in said
    with server.with_certificate(authority.issue("db.internal")):
        said = await refusal(server.url(sslmode="verify-full", sslrootcert=authority.file))
        assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in said
    expired = authority.issue("127.0.0.1", lasts=timedelta(days=-1))
    with server.with_certificate(expired):
        said = await refusal(server.url(sslmode="verify-full", sslrootcert=authority.file))
        assert "certificate has expired" in said


async def test_a_client_certificate_is_shown_and_its_refusal_told(
    server: TlsPostgres, authority: Authority, tmp_path: Path
) -> None:
    mine = authority.issue("spartoo-sync")
    foreign = Authority(tmp_path, "other").issue("spartoo-sync", file="foreign")
    by_name = {"sslmode": "verify-full", "sslrootcert": authority.file}
    with server.with_certificate(authority.issue("127.0.0.1"), clients=authority.file):
        url = server.url(**by_name, sslcert=mine.certificate, sslkey=mine.key)
        await (await Database.open(url)).close()
        url = server.url(**by_name, sslcert=foreign.certificate, sslkey=foreign.key)
        said = await refusal(url)  # TLS 1.3: the reset may outrun the alert
        assert "does not accept our own certificate" in said


async def test_a_file_that_is_missing_or_wrong_is_named(
    server: TlsPostgres, authority: Authority, tmp_path: Path
) -> None:
    with server.with_certificate(authority.issue("127.0.0.1")):
        said = await refusal(server.url(sslmode="verify-full", sslrootcert=tmp_path / "none.pem"))
        assert f"sslrootcert={tmp_path / 'none.pem'}: No such file or directory" in said
        (tmp_path / "empty.pem").write_text("no certificate\n")
        said = await refusal(server.url(sslmode="verify-full", sslrootcert=tmp_path / "empty.pem"))
        assert "authority file given for the database cannot be used" in said
        with pytest.raises(UnusableUrl, match="sslmode"):
            await Database.open(server.url(sslmode="always"))


async def test_a_daemon_waits_for_the_right_certificate(
    server: TlsPostgres, authority: Authority, tmp_path: Path
) -> None:
    wrong = Authority(tmp_path, "other").issue("127.0.0.1", file="wrong")
    with capture_logs() as logs:
        with server.with_certificate(wrong):
            url = server.url(sslmode="verify-full", sslrootcert=authority.file)
            opening = asyncio.create_task(open_database(url))

            async def told() -> bool:
                return any("certificate of the database" in line.get("error", "") for line in logs)

            await eventually(told)
        with server.with_certificate(authority.issue("127.0.0.1")):
            database = await opening
            await database.close()
