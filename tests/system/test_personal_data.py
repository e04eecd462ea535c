"""A customer's data: erased everywhere some time after the order's end, and it stays erased."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from adapters.postgres import orders, privacy, quarantine
from adapters.postgres.database import Database
from adapters.postgres.privacy import OrderKey
from adapters.spartoo.simulator.orders import Party, SimulatedOrder, Status
from daemon.retention import Retention
from statemachine.model import ConnectionId, OrderId
from tests.fixtures.cli import Cli
from tests.fixtures.everything import found_anywhere
from tests.fixtures.koongo import Asker, Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

PERSON = Party(
    first_name="Zyxwvine",
    last_name="Qwertzowski",
    company="Zyx & Fils",
    street="77 allée Zyxwvu",
    suburb="Escalier Zy",
    city="Zyxbourg",
    postcode="9977Q",
    state="Zyxie",
    country="France",
    email="zyxwvine@qwertzowski.example",
    phone="0639987777",
)
NEEDLES = (  # none of them stands in a number, or is likely in a token
    "zyxwvine",
    "zyxwvu",
    "qwertzowski",
    "zyx & fils",
    "escalier zy",
    "zyxbourg",
    "9977q",
    "zyxie",
    "0639987777",
)
LATER = timedelta(days=181)


def buys(system: System, account: str, status: Status = Status.VERIFIED) -> SimulatedOrder:
    """The person orders."""
    (order,) = system.place(account, kind="fine", relay=False, status=status)
    system.simulator.world.amend(order, billing=PERSON, delivery=PERSON)
    return order


def sees(system: System, order: SimulatedOrder, status: Status) -> None:
    """Somebody changes it in the back office."""
    system.simulator.world.set_status(order, status, "8R123")


async def forget(db: Database, after: timedelta = LATER, days: int | None = 180) -> dict[str, int]:
    """What the daemon's task does so much later."""
    retention = Retention(db, days, lambda: datetime.now(UTC) + after)
    return await retention.round(asyncio.Event())


@pytest.fixture
async def shipped(running: System, asker: Asker, consumer: Consumer) -> SimulatedOrder:
    """An order with everything around it: commands, calls, events, slip, label, quarantine."""
    order = buys(running, "manual")
    await running.reaches({order.id: "pending_manual"})
    reason = f"{PERSON.first_name} rang"
    asked = {"connection": "manual", "order_id": order.id}
    await asker.ask("order.accept", **asked, reason=reason)
    await running.reaches({order.id: "synced"})
    await asker.ask("order.ship", **asked, tracking_number="8R1", shipping_service="Colissimo")
    await running.reaches({order.id: "shipped"})
    await running.published()
    return order


async def test_the_customer_goes_and_the_figures_stay(
    running: System, shipped: SimulatedOrder, db: Database
) -> None:
    await running.daemons[0].terminate()
    key = (shipped.id, "manual")
    async with db.connection() as conn:
        pdf = f"%PDF {PERSON.street}".encode()
        await conn.execute("insert into slips values ($2, $1, $3, now())", *key, pdf)
        xml = f"<order>{PERSON.last_name}</order>".encode()
        await conn.execute(
            "insert into quarantine values ($2, $1, '\\x00', $3, 'wrong', now(), now())", *key, xml
        )
        note = f"{PERSON.first_name} rang again"
        comment = "insert into comments (order_id, connection, text, written_by, at)"
        await conn.execute(f"{comment} values ($1, $2, $3, 'ada', now())", *key, note)
        count = await conn.fetchval("select count(*) from events where order_id = $1", shipped.id)
    assert {place.split(":")[0] for place in await found_anywhere(db, NEEDLES)} >= {
        "orders.facts",
        "order_search.words",
        "comments.text",
        "events.data",
        "commands.body",
        "commands.reply",
        "order_history.reason",
        "quarantine.xml",
        "slips.pdf",
    }
    assert (await forget(db, timedelta(days=179)))["orders"] == 0
    assert await found_anywhere(db, NEEDLES)
    async with db.transaction() as tx:  # as the daemon does, without the logs' own ageing
        keys = await privacy.due(tx, datetime.now(UTC) + timedelta(days=1), 50)
        await privacy.erase(tx, keys, datetime.now(UTC))
    assert keys == [OrderKey(OrderId(shipped.id), ConnectionId("manual"))]
    assert await found_anywhere(db, NEEDLES) == []
    async with db.connection() as conn:
        found = await orders.page(conn, text=shipped.id)
    assert [order.id for order in found.items] == [shipped.id]
    async with db.connection() as conn:
        facts = json.loads(await conn.fetchval("select facts from orders"))
        events = await conn.fetch(
            "select data from events where order_id = $1 order by position", shipped.id
        )
    assert len(events) == count
    assert facts["billing_address"]["country"] == "France"
    assert facts["total"] == f"{shipped.total / 100:.2f}"
    assert json.loads(events[-1]["data"])["order"]["items"][0]["quantity"] >= 1
    assert (await forget(db, timedelta(days=1), days=1))["orders"] == 0  # once


async def test_an_erased_order_stays_erased_when_the_export_brings_it_again(
    running: System, shipped: SimulatedOrder, db: Database, consumer: Consumer
) -> None:
    async with db.transaction() as tx:
        keys = await privacy.due(tx, datetime.now(UTC) + timedelta(days=1), 50)
        await privacy.erase(tx, keys, datetime.now(UTC))
    assert await found_anywhere(db, NEEDLES) == []
    query = "select succeeded_at from looks where look = 'fresh' order by connection"
    looked = await running.rows(query)

    async def looked_again() -> bool:
        rows = await running.rows(query)
        return all(now > before for (now,), (before,) in zip(rows, looked, strict=True))

    await eventually(looked_again, 20)  # unchanged
    running.simulator.world.amend(shipped, billing=PERSON, delivery=PERSON)
    sees(running, shipped, Status.LOST)  # changed by status
    await running.reaches({shipped.id: "lost"})
    await running.published()
    assert await found_anywhere(db, NEEDLES) == []
    async with db.transaction() as tx:  # unreadable from now on
        xml = PERSON.email.encode()
        key = (ConnectionId("manual"), shipped.id)
        await quarantine.put(tx, *key, b"other", xml, "wrong", datetime.now(UTC))
    assert await found_anywhere(db, NEEDLES) == []

    async def told() -> bool:
        return bool(consumer.of_type("order.lost"))

    await eventually(told)
    lost = consumer.of_type("order.lost")[0].body["data"]["order"]
    assert lost["customer"] == dict.fromkeys(lost["customer"], "")


async def test_what_the_broker_does_not_have_is_left_alone(
    running: System, shipped: SimulatedOrder, db: Database
) -> None:
    await running.daemons[0].terminate()
    async with db.connection() as conn:
        position = await conn.fetchval("select position from relay")
        await conn.execute("update relay set position = 0")
        before = await conn.fetch("select position, data from events order by position")
    done = await forget(db)
    assert (done["orders"], done["events"]) == (0, 0)
    assert done["communications"] > 0
    assert done["commands"] > 0
    async with db.connection() as conn:
        assert await conn.fetch("select position, data from events order by position") == before
        await conn.execute("update relay set position = $1", position)
    done = await forget(db)
    assert (done["orders"], done["events"]) == (1, len(before))
    async with db.connection() as conn:
        for table in ("events", "communications", "commands"):
            assert await conn.fetchval(f"select count(*) from {table}") == 0
        assert await conn.fetchval("select count(*) from order_history") > 0
    assert await found_anywhere(db, NEEDLES) == []


async def test_open_orders_and_lately_returned_ones_are_not_due(
    running: System, shipped: SimulatedOrder, db: Database
) -> None:
    waiting = buys(running, "other")
    await running.reaches({waiting.id: "pending_manual"})
    await running.daemons[0].terminate()
    async with db.connection() as conn:
        await conn.execute(
            "insert into returns (return_id, connection, order_id, state, spartoo_status,"
            " requested_at, facts, has_label, first_seen_at, changed_at)"
            " values ('7', 'manual', $1, 'requested', 2, now(), '{}', false, now(),"
            " now() + interval '100 days')",
            shipped.id,
        )
    assert (await forget(db))["orders"] == 0
    assert (await forget(db, timedelta(days=281)))["orders"] == 1
    async with db.connection() as conn:
        found = await conn.fetch("select order_id from orders where erased_at is null")
    assert [row["order_id"] for row in found] == [waiting.id]
    assert await forget(db, timedelta(days=9999), days=None) == {}


async def test_one_person_is_exported_and_erased_by_email(
    running: System, shipped: SimulatedOrder, db: Database, cli: Cli
) -> None:
    waiting = buys(running, "other")
    (somebody,) = running.place("other", kind="fine")
    await running.reaches({waiting.id: "pending_manual", somebody.id: "pending_manual"})
    await running.published()
    await running.daemons[0].terminate()
    async with db.connection() as conn:
        xml = f"<order><email>{PERSON.email}</email></order>".encode()
        await conn.execute(
            "insert into quarantine values ('other', 'Q', '\\x00', $1, 'wrong', now(), now())", xml
        )
    exported = (await cli("privacy", "export", PERSON.email.upper())).json
    assert {order["order_id"] for order in exported["orders"]} == {shipped.id, waiting.id}
    (order,) = (order for order in exported["orders"] if order["order_id"] == shipped.id)
    assert order["order"]["customer"]["phone"] == PERSON.phone
    assert [e["type"] for e in order["events"]][-1] == "order.shipped"
    assert len(order["commands"]) == 2
    assert order["history"]
    assert order["calls"]
    assert PERSON.email in exported["quarantine"][0]["xml"]

    ran = await cli("privacy", "erase", "-", "--json", stdin=f"{PERSON.email}\n")
    assert ran.status == 1
    assert ran.error["code"] == "still_needed"
    assert f"other {waiting.id}: it is pending_manual" in ran.error["message"]
    assert [order["order_id"] for order in ran.json["erased"]] == [shipped.id]
    assert [order["order_id"] for order in ran.json["quarantine"]] == ["Q"]
    left = (await cli("privacy", "export", PERSON.email)).json
    assert [order["order_id"] for order in left["orders"]] == [waiting.id]
    assert left["quarantine"] == []
    places = {place.split(":")[0] for place in await found_anywhere(db, NEEDLES)}
    assert places == {"orders.facts", "order_search.words", "events.data"}
    async with db.connection() as conn:
        await conn.execute("update orders set state = 'cancelled' where order_id = $1", waiting.id)
    ran = await cli("privacy", "erase", PERSON.email)
    assert (ran.status, ran.err) == (0, "erased from 1 orders and 0 entries in quarantine\n")
    assert await found_anywhere(db, NEEDLES) == []
    assert len(await found_anywhere(db, [somebody.billing.email])) > 0
    assert (await cli("privacy", "erase", "nobody")).status == 2
