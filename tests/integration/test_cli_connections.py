"""`spartoo-sync connections`: added, changed, tested, switched and declared by a person."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.postgres import connections, events, looks
from adapters.postgres.connections import Connection
from adapters.postgres.database import Database
from adapters.spartoo.simulator import Simulator
from adapters.spartoo.simulator.fault_kinds import AnsweredCode
from statemachine.changes import EventType
from statemachine.model import ConnectionId
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import add_connection
from tests.fixtures.system import KEYS
from tests.unit.builders import settings

ID = ConnectionId("shoes-fr")
KEY = "0123456789ABCDEF"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


async def stored(db: Database) -> Connection:
    async with db.connection() as conn:
        return await connections.get(conn, ID)


async def told(db: Database) -> list[tuple[EventType, str]]:
    async with db.connection() as conn:
        found = await events.after(conn, 0, 100)
    return [(event.type, event.data.decode()) for event in found]


async def test_add_keeps_the_settings_and_hides_the_key(
    cli: Cli, db: Database, key_file: Path
) -> None:
    ran = await cli(
        *("connections", "add", ID, "auto_accept=true", "--site", "de"),
        *("--api-key-file", key_file, "--set", "poll_interval=90s"),
        *("--set", "shipping_services=DPD, UPS", "--set", "price_threshold=0.9"),
    )
    assert ran.status == 0
    assert KEY not in ran.out + ran.err
    added = await stored(db)
    assert added.has_key
    assert added.settings.site == "de"
    assert added.settings.auto_accept
    assert added.settings.poll_interval.total_seconds() == 90
    assert added.settings.shipping_services == ("DPD", "UPS")
    assert str(added.settings.price_threshold) == "0.9"
    assert not added.settings.active
    listed = await cli("connections", "list", "--json")
    (entry,) = listed.json["items"]
    assert entry["id"] == ID
    assert entry["settings"]["site"] == "de"
    assert entry["has_key"] is True
    assert KEY not in listed.out
    shown = await cli("connections", "list")
    assert ID in shown.out
    assert KEY not in shown.out


async def test_connections_are_listed_page_by_page(cli: Cli, db: Database) -> None:
    for number in range(5):
        await add_connection(db, settings(id=f"shop-{number}"))
    first = await cli("connections", "list", "--limit", 3, "--json")
    rest = await cli("connections", "list", "--cursor", first.json["next"], "--json")
    ids = [entry["id"] for ran in (first, rest) for entry in ran.json["items"]]
    assert ids == [f"shop-{number}" for number in range(5)]
    assert rest.json["next"] is None
    assert first.json["next"] in (await cli("connections", "list", "--limit", 3)).out
    assert "shop-4" in (await cli("connections", "list", "--text", "shop-4")).out
    assert "begins with x" in (await cli("connections", "list", "--text", "x")).out


async def test_the_key_comes_from_stdin_or_a_variable(
    cli: Cli, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await cli("connections", "add", ID, "--site", "fr", stdin=f"{KEY}\n")).status == 0
    assert (await stored(db)).has_key
    monkeypatch.setenv("THE_KEY", KEY)
    ran = await cli("connections", "add", "other", "--site", "fr", "--api-key-env", "THE_KEY")
    assert ran.status == 0
    without = await cli("connections", "add", "third", "--site", "fr")
    assert without.status == 2
    assert "no API key given" in without.err


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--set", "auto_accept=maybe"], "auto_accept = 'maybe'"),
        (["--set", "price_threshold=3"], "price_threshold = '3'"),
        (["--set", "sync_level=half"], "'orders_and_stock' or 'stock_only'"),
        (["--set", "pol_interval=3"], "did you mean poll_interval"),
        (["--set", "quite_unlike_any=3"], "known are id, marketplace"),
        (["--set", "id=other"], "keeps its id"),
        (["--set", KEY], "write KEY=VALUE"),
        (["auto_accept", "true"], "write auto_accept=VALUE"),
        (["auto_accept=true", "--set", "auto_accept=false"], "auto_accept: given more than once"),
        (["price_threshold=3"], "price_threshold = '3': must be at most 2"),
        (["--set", f"api_key={KEY}"], "--api-key-file"),
        (
            ["--set", "default_shipping_service=Postman", "--set", "shipping_services=DPD"],
            "must be one of shipping_services",
        ),
        (["--site", "zz"], "'zz' is not one of: fr, uk"),
        (["--api-key-env", "NOT_SET"], "NOT_SET"),
        (["--api-key-file", "/nonexistent/key"], "/nonexistent/key"),
    ],
)
async def test_wrong_settings_name_key_value_and_what_is_allowed(
    cli: Cli, db: Database, key_file: Path, given: list[str], named: str
) -> None:
    arguments = ["connections", "add", str(ID), "--site", "fr", *given]
    if "--api-key" not in " ".join(given):
        arguments += ["--api-key-file", str(key_file)]
    ran = await cli(*arguments)
    assert ran.status == 2
    assert named in ran.err
    assert KEY not in ran.err
    async with db.connection() as conn:
        assert await connections.list_all(conn) == []


async def test_a_second_connection_of_an_id_is_refused(cli: Cli, key_file: Path) -> None:
    add = ("connections", "add", ID, "--site", "fr", "--api-key-file", key_file, "--json")
    assert (await cli(*add)).json["id"] == ID
    again = await cli(*add)
    assert again.status == 1
    assert again.error["code"] == "connection_exists"


@pytest.fixture
async def connection(cli: Cli, key_file: Path) -> ConnectionId:
    add = await cli("connections", "add", ID, "--site", "fr", "--api-key-file", key_file)
    assert add.status == 0
    return ID


async def test_set_changes_what_is_given_and_empties_to_the_default(
    cli: Cli, db: Database, connection: ConnectionId
) -> None:
    before = await stored(db)
    ran = await cli("connections", "set", ID, "auto_accept=yes", "catalog=shoes", "--json")
    assert ran.json["catalog"] == "shoes"
    await cli("connections", "set", ID, "--set", "catalog=")
    after = await stored(db)
    assert after.settings == before.settings.model_copy(update={"auto_accept": True})
    wrong = await cli("connections", "set", ID, "auto_accept=no", "price_threshold=zero")
    assert wrong.status == 2
    assert "price_threshold = 'zero'" in wrong.err
    assert (await stored(db)).settings == after.settings
    assert (await cli("connections", "set", ID)).status == 2
    unknown = await cli("connections", "set", "nobody", "catalog=shoes", "--json")
    assert (unknown.status, unknown.error["code"]) == (1, "unknown_connection")


async def test_a_new_key_ends_a_suspension(
    cli: Cli, db: Database, connection: ConnectionId
) -> None:
    await cli("connections", "activate", ID)
    async with db.transaction() as tx:
        await connections.suspend(tx, ID, "bad_key", "-2: not known there", datetime.now(UTC))
    listed = await cli("connections", "list")
    assert "suspended: bad_key, -2: not known there" in listed.out
    refused = await cli("sync", ID, "--json")
    assert (refused.status, refused.error["code"]) == (1, "connection_suspended")
    new_key = await cli("connections", "set", ID, "--api-key", stdin="F" * 16)
    assert new_key.status == 0
    assert (await stored(db)).suspended_at is None
    assert (await told(db))[-1][0] is EventType.CONNECTION_RESUMED


async def test_activate_and_disable(cli: Cli, db: Database, connection: ConnectionId) -> None:
    assert (await cli("connections", "activate", ID, "--json")).json["status"] == "done"
    assert (await stored(db)).settings.active
    async with db.connection() as conn:
        assert {look.look for look in await looks.state(conn, ID)} == {"fresh", "open", "deep"}
    assert (await cli("connections", "set", ID, "active=false")).status == 0
    assert not (await stored(db)).settings.active
    assert (await cli("connections", "set", ID, "active=true")).status == 0
    assert (await cli("connections", "disable", ID)).status == 0
    after = await stored(db)
    assert not after.settings.active
    assert after.suspended_reason == "by_command"
    unknown = await cli("connections", "activate", "nobody", "--json")
    assert (unknown.status, unknown.error["code"]) == (1, "unknown_connection")


async def test_the_plan_limits_activation_however_it_is_asked_for(
    cli: Cli, connection: ConnectionId, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARTOO_SYNC_PLAN__ORDER_CONNECTIONS", "1")
    assert (await cli("connections", "activate", ID)).status == 0
    add = ("connections", "add", "two", "--site", "fr", "--api-key-file", key_file, "--json")
    refused = await cli(*add, "--set", "active=true")
    assert (refused.status, refused.error["code"]) == (1, "plan_limit")
    assert (await cli(*add)).status == 0
    for ask in (["activate", "two"], ["set", "two", "active=true"]):
        refused = await cli("connections", *ask, "--json")
        assert (refused.status, refused.error["code"]) == (1, "plan_limit")


TABLE = f'[[connections]]\nid = "{ID}"\nsite = "fr"\napi_key = "{KEY}"\n'


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


async def test_a_declared_key_replaces_one_that_was_sealed_with_a_lost_secret_key(
    cli: Cli, db: Database, tmp_path: Path
) -> None:
    file = written(tmp_path / "connections.toml", TABLE)
    await cli("connections", "apply", file)
    async with db.connection() as conn:
        await conn.execute("update connections set api_key = 'sealed otherwise'")
    assert (await cli("connections", "apply", file, "--json")).json["changed"] == [ID]
    assert (await cli("connections", "apply", file, "--json")).json["changed"] == []


async def test_apply_declares_what_the_file_holds(cli: Cli, db: Database, tmp_path: Path) -> None:
    file = written(tmp_path / "connections.toml", TABLE)
    assert (await cli("connections", "apply", file, "--json")).json == {
        "changed": [ID],
        "declared": [ID],
    }
    assert (await cli("connections", "apply", file, "--json")).json["changed"] == []
    written(file, TABLE + "active = true\nprice_threshold = 7\n")
    wrong = await cli("connections", "apply", file)
    assert wrong.status == 2
    assert "price_threshold = 7" in wrong.err
    assert str(file) in wrong.err
    assert not (await stored(db)).settings.active
    written(file, "http_port = 1\n")
    assert "none declared" in (await cli("connections", "apply", file)).err


async def test_test_says_whether_the_key_works(
    cli: Cli, db: Database, simulator: Simulator
) -> None:
    for name, key in (("auto", KEYS["auto"]), ("wrong", "F" * 16)):
        base = f"base_url={simulator.url}"
        add = ("connections", "add", name, "--site", "fr", "--set", base)
        assert (await cli(*add, stdin=key)).status == 0
    works = await cli("connections", "test", "auto", "--json")
    assert works.json == {"connection": "auto", "result": "works"}
    wrong = await cli("connections", "test", "wrong", "--json")
    assert (wrong.status, wrong.error["code"]) == (1, "bad_key")
    simulator.world.account("auto").active = False
    closed = await cli("connections", "test", "auto", "--json")
    assert (closed.status, closed.error["code"]) == (1, "deactivated")
    simulator.world.account("auto").active = True
    simulator.faults.add(AnsweredCode(kind="code", code=-429, count=1))
    busy = await cli("connections", "test", "auto", "--json")
    assert (busy.status, busy.error["code"]) == (1, "throttled")
    await simulator.close()
    gone = await cli("connections", "test", "auto", "--json")
    assert (gone.status, gone.error["code"]) == (1, "not_reachable")
    assert KEYS["auto"] not in works.out + wrong.err + closed.err + gone.err
