"""How many orders and returns stand where: exact, however they were moved and whoever folds."""

import asyncio
from collections import Counter

from adapters.postgres import counts, orders, returns
from adapters.postgres.database import Database
from statemachine.model import ActionKind, ConnectionId, OrderId, OrderState, ReturnState
from tests.fixtures.postgres import add_connection
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
