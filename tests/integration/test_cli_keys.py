"""`keys rotate`: every API key under the first secret key, or nothing changed and said why."""

import pytest
from cryptography.fernet import Fernet, MultiFernet

from adapters.postgres import connections
from adapters.postgres.database import Database
from statemachine.model import ConnectionId
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import ADDED_AT
from tests.unit.builders import settings

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
API_KEY = "0123456789ABCDEF"


async def add(db: Database, *ids: str, key: str = OLD) -> None:
    async with db.transaction() as tx:
        for id_ in ids:
            cipher = MultiFernet([Fernet(key)])
            await connections.add(tx, cipher, settings(id=id_), API_KEY, ADDED_AT)


async def sealed(db: Database) -> list[bytes]:
    async with db.connection() as conn:
        found = await conn.fetch("select api_key from connections order by id")
    return [row["api_key"] for row in found]


async def test_rotating_lets_the_old_secret_key_go(
    cli: Cli, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(db, "shoes-de", "shoes-fr")
    monkeypatch.setenv("SPARTOO_SYNC_SECRET_KEY", f"{NEW}, {OLD}")
    assert (await cli("keys", "rotate", "--json")).json == {"rotated": 2}
    monkeypatch.setenv("SPARTOO_SYNC_SECRET_KEY", NEW)
    async with db.connection() as conn:
        cipher = MultiFernet([Fernet(NEW)])
        assert await connections.api_key(conn, cipher, ConnectionId("shoes-fr")) == API_KEY
    ran = await cli("keys", "rotate")
    assert (ran.status, ran.out) == (0, "")
    assert "2 API keys are encrypted with the first secret key now" in ran.err


async def test_a_key_that_cannot_be_opened_is_named_and_nothing_is_changed(
    cli: Cli, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(db, "shoes-de")
    await add(db, "boots-fr", "shoes-fr", key=Fernet.generate_key().decode())
    before = await sealed(db)
    monkeypatch.setenv("SPARTOO_SYNC_SECRET_KEY", f"{NEW},{OLD}")
    ran = await cli("keys", "rotate", "--json")
    assert ran.status == 1
    assert ran.error["code"] == "unreadable_key"
    message = ran.error["message"]
    assert "nothing was changed: the API key of boots-fr, shoes-fr was sealed" in message
    assert not {API_KEY, OLD, NEW} & set(message.replace(",", " ").split())
    assert await sealed(db) == before
