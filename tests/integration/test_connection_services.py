"""What the command line, the API and the console share: changes, keys, health, the plan."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.postgres import budget, connections, looks, orders
from adapters.postgres.connections import Connection
from adapters.postgres.database import Database
from adapters.postgres.errors import StaleVersion, UnknownConnection
from adapters.postgres.looks import Room
from adapters.spartoo.simulator import Simulator
from daemon.connection_changes import (
    WrongSettings,
    add_connection,
    change_connection,
    read_api_key,
    read_settings,
)
from daemon.connection_check import check_connection, check_key
from daemon.connection_health import health_of, health_page
from daemon.metrics import Metrics
from daemon.plan import ConnectionUsage, plan_usage
from daemon.readiness import Readiness
from daemon.settings import Plan, Settings
from daemon.wiring import Parts, open_parts
from statemachine.changes import Changes
from statemachine.facts import Refused
from statemachine.model import ConnectionId, Order, OrderId, OrderState
from tests.fixtures.postgres import eventually, waits_for_a_lock
from tests.fixtures.system import KEYS
from tests.fixtures.tasks import running
from tests.unit.builders import NOW, marketplace_order, settings

ID = ConnectionId("shoes-fr")
KEY = "0123456789ABCDEF"


@pytest.fixture
async def parts(db: Database, tmp_path: Path) -> AsyncIterator[Parts]:
    given = Settings(state_dir=tmp_path, plan=Plan(order_connections=1))
    async with open_parts(given, db, Metrics()) as parts:
        yield parts


async def added(parts: Parts, **given: object) -> Connection:
    return await add_connection(parts, read_settings({"id": ID, **given}), KEY)


@pytest.mark.parametrize(
    ("values", "key", "said"),
    [
        ({"price_threshold": "3"}, "price_threshold", "price_threshold = '3': must be"),
        ({"site": "zz"}, "site", "site 'zz' is not one of: fr, uk"),
        ({"marketplace": "bazaar"}, "marketplace", "'bazaar' is not one of: spartoo"),
        (
            {"default_shipping_service": "Pigeon", "shipping_services": ["UPS"]},
            "default_shipping_service",
            "shipping_services",
        ),
        (
            {"shipping_aliases": {"Post": "Pigeon"}, "shipping_services": ["UPS"]},
            "shipping_aliases",
            "shipping_services",
        ),
        ({"pol_interval": "3"}, "pol_interval", "did you mean poll_interval"),
        ({"id": "a b"}, "id", "id = 'a b'"),
        ({"shipping_services": ["UPS", 7]}, "shipping_services", "shipping_services.1 = 7"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(
    values: dict[str, object], key: str, said: str
) -> None:
    with pytest.raises(WrongSettings) as refused:
        read_settings({"id": ID, **values})
    assert [wrong.key for wrong in refused.value.wrong] == [key]
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["", "  ", "two words", "line\nbreak", "x" * 256, "nul\0"])
def test_what_is_no_api_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(WrongSettings) as refused:
        read_api_key(text)
    assert not text.strip() or text not in str(refused.value)


async def test_what_is_left_out_stays_and_what_is_empty_takes_its_default(parts: Parts) -> None:
    before = await added(parts, auto_accept=True, currency="EUR")
    after = await change_connection(parts, ID, {"currency": None, "catalog": "shop"})
    assert after.settings == before.settings.model_copy(
        update={"currency": None, "catalog": "shop"}
    )
    assert after.has_key
    with pytest.raises(WrongSettings, match="keeps its id"):
        await change_connection(parts, ID, {"id": "other"})
    with pytest.raises(UnknownConnection):
        await change_connection(parts, ConnectionId("nobody"), {})


async def test_a_change_of_a_version_gone_by_is_refused(parts: Parts, db: Database) -> None:
    read = await added(parts)
    await change_connection(parts, ID, {"catalog": "shop"}, expected_version=read.version)
    with pytest.raises(StaleVersion, match="read it again"):
        await change_connection(
            parts, ID, {"catalog": "attic"}, api_key="F" * 16, expected_version=read.version
        )
    async with db.connection() as conn:
        assert (await connections.get(conn, ID)).settings.catalog == "shop"
        assert await connections.api_key(conn, parts.cipher, ID) == KEY


async def test_two_changes_at_once_are_both_kept(parts: Parts, db: Database) -> None:
    await added(parts)
    async with db.transaction() as tx:
        await connections.lock(tx, ID)
        changes: list[dict[str, object]] = [{"catalog": "shop"}, {"auto_accept": "true"}]
        both = [asyncio.ensure_future(change_connection(parts, ID, c)) for c in changes]
        await eventually(lambda: waits_for_a_lock(db))
    await asyncio.gather(*both)
    async with db.connection() as conn:
        found = (await connections.get(conn, ID)).settings
    assert (found.catalog, found.auto_accept) == ("shop", True)


async def test_an_activation_beyond_the_plan_leaves_nothing_behind(parts: Parts) -> None:
    await added(parts, active=True)
    two = read_settings({"id": "two", "active": True})
    with pytest.raises(Refused, match="update the plan or disable another connection"):
        await add_connection(parts, two, KEY)
    await add_connection(parts, two.model_copy(update={"active": False}), KEY)
    with pytest.raises(Refused, match="your plan allows 1 active order connections"):
        await change_connection(
            parts, ConnectionId("two"), {"active": "true", "catalog": "shop"}, api_key="F" * 16
        )
    async with parts.database.connection() as conn:
        kept = await connections.get(conn, ConnectionId("two"))
        assert (kept.settings.active, kept.settings.catalog) == (False, "default")
        assert await connections.api_key(conn, parts.cipher, kept.id) == KEY
    await change_connection(parts, ID, {"active": "false"})
    activated = await change_connection(parts, ConnectionId("two"), {"active": "true"})
    assert activated.settings.active


async def test_a_key_is_tried_before_it_is_stored(parts: Parts, simulator: Simulator) -> None:
    given = read_settings({"id": "auto", "base_url": simulator.url})
    await check_key(parts.accounts, given, KEYS["auto"])
    with pytest.raises(Refused) as wrong:
        await check_key(parts.accounts, given, "F" * 16)
    assert wrong.value.code == "bad_key"
    assert "F" * 16 not in wrong.value.message
    await add_connection(parts, given, None)
    with pytest.raises(Refused, match="has no API key"):
        await check_connection(parts.accounts, ConnectionId("auto"))
    await change_connection(parts, ConnectionId("auto"), {}, api_key=KEYS["auto"])
    await check_connection(parts.accounts, ConnectionId("auto"))


async def test_health_shows_looks_budget_and_why_it_rests(parts: Parts, db: Database) -> None:
    await added(parts, active=True, max_calls_per_hour=7)
    await add_connection(parts, read_settings({"id": "zzz"}), None)
    async with db.transaction() as tx:
        await budget.take(tx, ID, "xml_export_orders", 7)
        (fresh,) = await looks.claim_due(tx, "me", timedelta(minutes=1), Room(1, 1, {}, 1))
        await looks.finish(tx, fresh, due_at=None, error="no answer in time")
        await connections.suspend(tx, ID, "bad_key", "-2", datetime.now(UTC))
    async with db.connection() as conn:
        first, second = (await health_page(conn)).items
        assert await health_of(conn, ID) == first
    assert first.calls_left == {"xml_export_orders": 6}
    assert first.failed_look is not None
    assert first.failed_look.error == "no answer in time"
    assert first.last_good_look_at is None
    assert first.document()["suspended"]["reason"] == "bad_key"
    assert (second.looks, second.calls_left, second.failed_look) == ((), {}, None)


async def store(db: Database, connection: str, times: list[datetime]) -> None:
    changes = []
    for number, at in enumerate(times):
        facts = marketplace_order(order_id=OrderId(f"{connection}-{number}"))
        facts = replace(facts, purchased_at=at)
        order = Order(ConnectionId(connection), facts, OrderState.NEW, NOW, NOW)
        changes.append(Changes(order, created=True))
    async with db.transaction() as tx:
        await orders.record(tx, settings(id=connection), changes, {})


async def test_orders_of_the_month_are_counted_in_packages(parts: Parts, db: Database) -> None:
    await added(parts, active=True)
    await add_connection(parts, read_settings({"id": "east", "timezone": "Asia/Tokyo"}), KEY)
    midnight = datetime(2026, 10, 31, 23, 0, tzinfo=UTC)  # in Paris
    second = timedelta(seconds=1)
    next_month = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
    await store(db, ID, [midnight - second, midnight, NOW, next_month - second, next_month])
    await store(db, "east", [midnight - timedelta(hours=8), midnight])
    async with db.connection() as conn:
        used = await plan_usage(conn, Plan(order_connections=1, orders_per_connection=2), NOW)
        exact = await plan_usage(conn, Plan(orders_per_connection=3), NOW)
    east = ConnectionUsage(ConnectionId("east"), active=False, orders=2, further_packages=0)
    shoes = ConnectionUsage(ID, active=True, orders=3, further_packages=1)
    assert used.connections == (east, shoes)
    assert (used.allowed, used.used, used.orders, used.further_packages) == (1, 1, 5, 1)
    assert (exact.allowed, exact.further_packages) == (None, 0)


async def test_keys_sealed_with_another_secret_are_left_to_others(
    parts: Parts, db: Database, tmp_path: Path
) -> None:
    await added(parts, active=True)
    secret = SecretStr(Fernet.generate_key().decode())
    given = Settings(state_dir=tmp_path / "other", secret_key=secret)
    async with open_parts(given, db, Metrics()) as theirs:

        async def known() -> bool:
            return theirs.accounts.unreadable == {ID}

        async with running(theirs.accounts.watch_keys):
            await eventually(known)
        readiness = Readiness(given, asyncio.Event())
        readiness.parts = theirs
        assert await readiness.missing() == [f"secret key: cannot open the API keys of {ID}"]
        room = Room(9, 9, {}, 9)
        async with db.transaction() as tx:
            left = theirs.accounts.unreadable
            assert await looks.claim_due(tx, "them", timedelta(minutes=1), room, left) == []
            assert len(await looks.claim_due(tx, "us", timedelta(minutes=1), room)) == 2
