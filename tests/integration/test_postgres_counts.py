"""How many orders and returns stand where: exact, however they were moved and whoever folds."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from adapters.postgres import counts, orders, returns
from adapters.postgres.database import Database
from adapters.postgres.migrate import upgrade
from adapters.postgres.migration_sql import missing_steps
from statemachine.model import ActionKind, ConnectionId, OrderId, OrderState, ReturnState
from tests.fixtures.postgres import add_connection, may_stand_idle
from tests.unit.builders import ReturnStory, Story, product, settings

FR = ConnectionId("shoes-fr")


async def store(db: Database, story: Story) -> None:
    for changes in story.steps:
        async with db.transaction() as tx:
            await orders.record(tx, settings(), [changes], {})


async def counted(db: Database) -> dict[tuple[ConnectionId, OrderState], int]:
    """What is known without counting, which must be what counting finds."""
    async with db.connection() as conn:
        found = await orders.counts(conn)
        rows = await conn.fetch("select connection, state from orders")
    assert found == Counter((row["connection"], row["state"]) for row in rows)
    return found


async def test_every_step_and_every_deletion_is_counted(db: Database) -> None:
    await add_connection(db, settings())
    for number in range(3):
        story = Story(product(stock=2)).seen(order_id=OrderId(f"A{number}"))
        await store(db, story if number else story.carried_out(ActionKind.ACCEPT))
    assert (await counted(db)) == {(FR, "accepted"): 1, (FR, "new"): 2}
    async with db.connection() as conn:
        await counts.fold(conn)
        assert await conn.fetchval("select count(*) from state_count_changes") == 0
    await counted(db)
    async with db.connection() as conn:
        await conn.execute("update orders set state = 'shipped', fingerprint = 'x'")
        await conn.execute("update orders set fingerprint = 'y'")
        await conn.execute("delete from orders where order_id = 'A2'")
        assert await conn.fetchval("select count(*) from order_search") == 2
    assert (await counted(db)) == {(FR, "shipped"): 2}
    async with db.connection() as conn:
        await counts.fold(conn)
    assert (await counted(db)) == {(FR, "shipped"): 2}


async def test_what_is_rolled_back_is_not_counted(db: Database) -> None:
    await add_connection(db, settings())
    async with db.connection() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await orders.record(conn, settings(), Story(product()).seen().steps, {})
        await transaction.rollback()
    assert await counted(db) == {}


async def test_writers_and_folders_do_not_wait_for_one_another(db: Database) -> None:
    await add_connection(db, settings())

    async def write(number: int) -> None:
        await store(db, Story(auto_accept=False).seen(order_id=OrderId(f"B{number}")))

    async def fold() -> None:
        async with db.connection() as conn:
            await counts.fold(conn)

    async with db.transaction() as tx:  # holds its notes and its orders
        await may_stand_idle(tx)
        await orders.record(tx, settings(), Story(auto_accept=False).seen().steps, {})
        await asyncio.gather(*(write(n) for n in range(6)), *(fold() for _ in range(6)))
        async with db.connection() as conn:
            assert await orders.counts(conn) == {(FR, "pending_manual"): 6}
    assert await counted(db) == {(FR, "pending_manual"): 7}


async def test_returns_are_counted_too(db: Database) -> None:
    await add_connection(db, settings())
    story = ReturnStory().seen()
    async with db.transaction() as tx:
        await returns.record(tx, FR, story.steps, {})
    async with db.connection() as conn:
        assert await returns.counts(conn) == {(FR, ReturnState.REQUESTED): 1}


HOURS = [datetime(2026, 2, 27, tzinfo=UTC) + timedelta(hours=n) for n in range(24 * 35)]
AN_ORDER_AN_HOUR = """
insert into orders (
    connection, order_id, state, spartoo_status, purchased_at, facts, products, first_seen_at,
    changed_at, shipments, identifiers
)
select zone, to_char(n, 'FM0000'), 'new', 1, at, '{}', '{}', at, at, '[]', '{}'
from unnest($1::text[]) as zone, unnest($2::timestamptz[]) with ordinality as hours (at, n)
"""
ZONES = {
    "paris": "Europe/Paris",
    "utc": "UTC",
    "west": "America/Los_Angeles",
    "far-east": "Pacific/Kiritimati",
    "nepal": "Asia/Kathmandu",
}
BY_HAND = """
select c.id, count(*) from connections as c join orders as o on o.connection = c.id
where
    date_trunc('month', o.purchased_at, c.settings ->> 'timezone')
    = date_trunc('month', $1::timestamptz, c.settings ->> 'timezone')
group by c.id
"""


async def month_as_counted(db: Database, now: datetime) -> dict[str, int]:
    """What the plan says of the month of `now`, which must be what counting finds."""
    async with db.connection() as conn:
        found = {str(name): n for name, _, n in await orders.placed_in_month(conn, now) if n}
        assert found == {row[0]: row[1] for row in await conn.fetch(BY_HAND, now)}
    return found


async def add_zones(db: Database) -> None:
    for name, zone in ZONES.items():
        await add_connection(db, settings(id=name, timezone=zone))


@pytest.mark.parametrize("day", [1, 10, 31])
async def test_orders_of_a_month_are_known_without_counting_them(db: Database, day: int) -> None:
    await add_zones(db)
    now = datetime(2026, 3, day, 23, 30, tzinfo=UTC)  # the next month, in some zones
    async with db.connection() as conn:
        await conn.execute(AN_ORDER_AN_HOUR, list(ZONES), HOURS)
        noted = await month_as_counted(db, now)
        await counts.fold(conn)
        assert await month_as_counted(db, now) == noted
        await conn.execute(
            "update orders set purchased_at = purchased_at + interval '5 days'"
            " where order_id < '0200'"
        )
        await conn.execute("delete from orders where order_id between '0300' and '0310'")
    assert await month_as_counted(db, now) != noted


async def test_what_is_stored_already_is_counted_by_an_upgrade(empty_database: str) -> None:
    db = await Database.open(empty_database)
    async with db.connection() as conn:
        await conn.execute(cast("Any", missing_steps(None, "0001")))
        await add_zones(db)
        await conn.execute(AN_ORDER_AN_HOUR, list(ZONES), HOURS)
        await upgrade(empty_database)
        await conn.execute("delete from orders where order_id < '0100'")
    assert len(await month_as_counted(db, datetime(2026, 3, 15, tzinfo=UTC))) == len(ZONES)
    assert {n for (_, state), n in (await counted(db)).items() if state == "new"} == {24 * 35 - 99}
    await db.close()
