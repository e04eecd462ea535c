"""Wake-ups: told after the commit, to every task that waits, and to one that was busy meanwhile."""

import asyncio

from adapters.postgres import events
from adapters.postgres.database import Database
from tests.fixtures.postgres import eventually


async def notify(db: Database, *topics: str) -> None:
    async with db.transaction() as tx:
        await events.notify(tx, topics)


async def settled(db: Database, *topics: str) -> None:
    """This task has heard all there was up to now: connecting counts as news."""

    async def connected() -> bool:
        return db.wakeups._everything > 0

    for topic in topics:
        await db.wakeups.wait(topic, 10)  # begins to listen
    await eventually(connected)
    while any([await db.wakeups.wait(topic, 0.2) for topic in topics]):
        pass


async def test_a_topic_wakes_those_who_wait_for_it(db: Database) -> None:
    async def waiter(topic: str) -> bool:
        await settled(db, topic)
        ready.release()
        return await db.wakeups.wait(topic, 5 if topic == "events" else 1)

    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(waiter(topic)) for topic in ("events", "events", "looks")]
    for _ in tasks:
        await ready.acquire()
    await notify(db, "events")
    assert await asyncio.gather(*tasks) == [True, True, False]


async def test_what_was_told_while_busy_is_heard_at_the_next_wait(db: Database) -> None:
    await settled(db, "actions")
    await notify(db, "actions")
    await notify(db, "actions")
    await asyncio.create_task(settled(db, "actions"))  # another task hears it for itself
    assert await db.wakeups.wait("actions", 10)
    assert not await db.wakeups.wait("actions", 0.05)


async def test_nothing_is_told_of_what_was_rolled_back(db: Database) -> None:
    await settled(db, "products")
    async with db.connection() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await events.notify(conn, ["products"])
        await transaction.rollback()
    assert not await db.wakeups.wait("products", 0.2)


async def test_this_process_can_wake_itself(db: Database) -> None:
    await settled(db, "actions")
    db.wakeups.notify("actions")
    assert await db.wakeups.wait("actions", 0)
