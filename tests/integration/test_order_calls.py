"""Calls about one order are recorded, delivery slips kept, and `orders show` tells of both."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import MultiFernet

from adapters.ports import AccountRejected, MarketplaceError, Throttled, WrongChronology
from adapters.postgres import communications, inbox, orders
from adapters.postgres.communications import Communication
from adapters.postgres.connections import get, set_active
from adapters.postgres.database import Database
from daemon.accounts import Account, Accounts, BudgetSpent
from daemon.ingest import OrderIntake
from daemon.intake import Reading
from daemon.metrics import Metrics
from daemon.slips import delivery_slip
from statemachine.facts import Refused
from statemachine.model import ActionKind, ConnectionId, Order, OrderId, OrderState
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import CIPHER, add_connection
from tests.integration.spartoo_server import OK, SINCE, Spartoo, coded, export, serve
from tests.unit.builders import ORDER_ID, reach, settings

FR = ConnectionId("shoes-fr")
PDF = b"%PDF-1.4\n%%EOF\n"
SLIP = "<root><bl><order_id>x</order_id><pdf>JVBERi0xLjQKJSVFT0YK</pdf></bl></root>"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def spartoo(db: Database) -> AsyncIterator[Spartoo]:
    """A server that answers as told, and a connection to it."""
    async with serve() as server:
        await add_connection(db, settings(base_url=server.base_url, max_calls_per_hour=20))
        yield server


@pytest.fixture
def accounts(db: Database, spartoo: Spartoo) -> Accounts:
    assert spartoo.session is not None
    return Accounts(db, spartoo.session, CIPHER, Metrics(), now)


@pytest.fixture
async def account(accounts: Accounts) -> Account:
    return await accounts.get(FR)


async def stored(db: Database, state: OrderState = OrderState.ACCEPTED) -> Order:
    """An order in that state."""
    story = reach(state)
    for changes in story.steps:
        async with db.transaction() as tx:
            await orders.record(tx, settings(), [changes], {})
    return story.order


async def recorded(db: Database, order_id: OrderId = ORDER_ID) -> list[Communication]:
    async with db.connection() as conn:
        return await communications.of_order(conn, FR, order_id, 100)


async def calls(db: Database, order_id: OrderId = ORDER_ID) -> list[tuple[str, str, str]]:
    return [(c.name, c.result, c.summary) for c in await recorded(db, order_id) if c.kind == "call"]


async def test_every_call_about_an_order_is_recorded(
    db: Database, spartoo: Spartoo, account: Account
) -> None:
    spartoo.answer = Spartoo.text(export(ORDER_ID))
    await account.for_actions.fetch_order(ORDER_ID)
    spartoo.answer = Spartoo.text(coded(-9))
    await account.for_actions.change_order(ORDER_ID, ActionKind.ACCEPT)
    spartoo.answer = Spartoo.text(coded(-7, "not now"))
    with pytest.raises(WrongChronology):
        await account.for_actions.change_order(ORDER_ID, ActionKind.CANCEL)
    spartoo.answer = Spartoo.text("busy", status=503)
    with pytest.raises(MarketplaceError):
        await account.for_actions.change_order(ORDER_ID, ActionKind.CANCEL)
    read, accepted, late, fault = await calls(db)
    assert read == ("xml_export_orders", "1", "read")
    assert accepted == ("xml_maj_orders", "-9", "accept")
    assert late[:2] == ("xml_maj_orders", "-7")
    assert late[2].startswith("cancel: ")
    assert fault[:2] == ("xml_maj_orders", "http_503")
    assert [c.direction for c in await recorded(db)] == ["out"] * 4
    assert "0123456789abcdef" not in str(await recorded(db))


async def test_a_call_that_was_not_made_is_not_recorded(
    db: Database, spartoo: Spartoo, account: Account
) -> None:
    async with db.connection() as conn:
        await conn.execute("insert into calls values ('shoes-fr', 'xml_maj_orders', now(), 20)")
    with pytest.raises(BudgetSpent):
        await account.for_actions.change_order(ORDER_ID, ActionKind.ACCEPT)
    assert await calls(db) == []
    assert spartoo.asked == []


async def test_a_look_that_changed_an_order_is_recorded_once(
    db: Database, spartoo: Spartoo, account: Account
) -> None:
    spartoo.answer = Spartoo.text(export(ORDER_ID, "B"))
    reading = Reading(account.settings, SINCE, service=account.for_looks.order_service)
    for _ in range(2):
        looked = OrderIntake(db, reading, Metrics(), now)
        await looked.stream(account.for_looks.export_orders(SINCE))
    look = ("xml_export_orders", "read", "look: status 11, first seen")
    assert await calls(db) == [look]
    assert await calls(db, OrderId("B")) == [look]


async def test_events_commands_and_calls_stand_together_without_personal_data(
    db: Database, spartoo: Spartoo, account: Account
) -> None:
    await stored(db, OrderState.PENDING_MANUAL)
    async with db.transaction() as tx:
        body = b'{"connection":"shoes-fr","order_id":"%s","by":"ada","reason":"Mrs Smith"}'
        reply = b'{"status":"refused","error":{"code":"wrong_state","message":"x"}}'
        await inbox.keep(tx, [("c-1", "order.accept", body % ORDER_ID.encode(), reply)])
        other = body.replace(b"%s", b"OTHER")
        await inbox.keep(tx, [("c-2", "order.accept", other, reply)])
    spartoo.answer = Spartoo.text(OK)
    await account.for_actions.change_order(ORDER_ID, ActionKind.ACCEPT)
    found = await recorded(db)
    told = [(c.direction, c.kind, c.name, c.result, c.summary) for c in found]
    assert set(told) == {
        ("out", "event", "order.new", "waiting", "sequence 1; to new"),
        ("out", "event", "order.pending_manual", "waiting", "sequence 2; to pending_manual"),
        ("in", "command", "order.accept", "refused", "by ada; wrong_state"),
        ("out", "call", "xml_maj_orders", "1", "accept"),
    }
    assert len(told) == 4
    assert [c.at for c in found] == sorted(c.at for c in found)


async def test_the_newest_are_shown_where_there_are_many(db: Database, spartoo: Spartoo) -> None:
    call = communications.OrderCall(FR, ORDER_ID, "xml_maj_orders", "1", "accept", now())
    async with db.connection() as conn:
        await communications.add(conn, [call] * 5)
        assert len(await communications.of_order(conn, FR, ORDER_ID, 3)) == 3


async def test_a_slip_is_asked_for_once(db: Database, spartoo: Spartoo, accounts: Accounts) -> None:
    order = await stored(db)
    spartoo.answer = Spartoo.text(SLIP)
    for _ in range(2):
        assert await delivery_slip(db, accounts, order, now) == PDF
    assert len(spartoo.asked) == 1
    assert [name for name, *_ in await calls(db)] == ["xml_export_bl"]


@pytest.mark.parametrize("state", [OrderState.NEW, OrderState.PENDING_MANUAL, OrderState.CANCELLED])
async def test_an_order_that_is_not_sent_has_no_slip(
    db: Database, spartoo: Spartoo, accounts: Accounts, state: OrderState
) -> None:
    order = await stored(db, state)
    with pytest.raises(Refused, match=f"is {state}; a delivery slip is there for: accepted"):
        await delivery_slip(db, accounts, order, now)
    assert spartoo.asked == []


async def test_what_hinders_a_slip_is_told_and_nothing_kept(
    db: Database, spartoo: Spartoo, accounts: Accounts
) -> None:
    order = await stored(db)
    spartoo.answer = Spartoo.text(coded(-6))
    with pytest.raises(Refused) as refused:
        await delivery_slip(db, accounts, order, now)
    assert refused.value.code == "unknown_order"
    spartoo.answer = Spartoo.text(SLIP.replace("JVBERi0", "AAAAAAA"))
    with pytest.raises(MarketplaceError):
        await delivery_slip(db, accounts, order, now)
    spartoo.answer = Spartoo.text(coded(-2))
    with pytest.raises(AccountRejected):
        await delivery_slip(db, accounts, order, now)
    with pytest.raises(Refused) as refused:
        await delivery_slip(db, accounts, order, now)
    assert refused.value.code == "connection_suspended"
    async with db.transaction() as tx:
        assert (await get(tx, FR)).suspended_reason == "bad_key"
        await set_active(tx, FR, active=False)
        assert await tx.fetchval("select count(*) from slips") == 0
    with pytest.raises(Refused) as refused:
        await delivery_slip(db, accounts, order, now)
    assert refused.value.code == "connection_disabled"
    assert len(spartoo.asked) == 3


async def test_minus_429_for_a_slip_rests_that_service(
    db: Database, spartoo: Spartoo, accounts: Accounts
) -> None:
    order = await stored(db)
    spartoo.answer = Spartoo.text(coded(-429))
    with pytest.raises(Throttled):
        await delivery_slip(db, accounts, order, now)
    with pytest.raises(BudgetSpent):
        await delivery_slip(db, accounts, order, now)
    assert len(spartoo.asked) == 1


@pytest.fixture
def own_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, db: Database) -> MultiFernet:
    """The command line opens API keys with its own secret key."""
    from cryptography.fernet import Fernet

    key = Fernet.generate_key()
    monkeypatch.setenv("SPARTOO_SYNC_SECRET_KEY", key.decode())
    return MultiFernet([Fernet(key)])


async def test_slip_on_the_command_line(
    cli: Cli, db: Database, spartoo: Spartoo, own_key: MultiFernet, tmp_path: Path
) -> None:
    async with db.transaction() as tx:
        sealed = own_key.encrypt(b"0123456789abcdef")
        await tx.execute("update connections set api_key = $1", sealed)
    await stored(db)
    spartoo.answer = Spartoo.text(SLIP)
    file = tmp_path / "slip.pdf"
    ran = await cli("orders", "slip", ORDER_ID, "--output", file, "--json")
    assert (ran.status, ran.json["bytes"]) == (0, len(PDF))
    assert file.read_bytes() == PDF
    again = await cli("orders", "slip", FR, ORDER_ID, "-o", tmp_path / "again.pdf")
    assert again.status == 0
    assert (tmp_path / "again.pdf").read_bytes() == PDF
    assert len(spartoo.asked) == 1
    nowhere = await cli("orders", "slip", ORDER_ID, "-o", tmp_path / "none" / "slip.pdf", "--json")
    assert (nowhere.status, nowhere.error["code"]) == (1, "system_error")
    unknown = await cli("orders", "slip", "NOBODY", "-o", file, "--json")
    assert unknown.error["code"] == "unknown_order"
    shown = (await cli("orders", "show", ORDER_ID, "--json")).json
    called = [c for c in shown["communications"] if c["kind"] == "call"]
    assert [(c["name"], c["result"], c["summary"]) for c in called] == [
        ("xml_export_bl", called[0]["result"], "delivery slip")
    ]
    text = (await cli("orders", "show", ORDER_ID)).out
    assert "xml_export_bl" in text
    assert "order.accepted" in text
