"""Leases, processes, call budgets: shared by all replicas, never exceeded, always taken over."""

import asyncio
from datetime import timedelta

import pytest

from adapters.postgres import budget, leases, processes
from adapters.postgres.database import Database
from adapters.postgres.errors import DatabaseUnavailable
from statemachine.model import ConnectionId
from tests.fixtures.postgres import add_connection, eventually
from tests.unit.builders import settings

SHOES = ConnectionId("shoes-fr")
SERVICE = "xml_export_orders"
TTL = timedelta(seconds=30)
FIVE_MINUTES = timedelta(minutes=5)


async def test_one_holder_a_role_and_the_epoch_grows_with_each(db: Database) -> None:
    async with db.connection() as conn:
        assert await leases.hold(conn, "relay", "me", TTL) == 1
        assert await leases.hold(conn, "relay", "me", TTL) == 1
        assert await leases.hold(conn, "relay", "you", TTL) is None
        assert await leases.hold(conn, "commands", "you", TTL) == 1
        assert await leases.holder_of(conn, "relay") == "me"
        await leases.release(conn, "me")
        assert await leases.holder_of(conn, "relay") is None
        assert await leases.hold(conn, "relay", "you", TTL) == 2
        assert await leases.hold(conn, "relay", "me", TTL) is None


async def test_a_lease_that_ran_out_is_taken_over(db: Database) -> None:
    async with db.connection() as conn:
        await leases.hold(conn, "relay", "me", timedelta(0))
        assert await leases.hold(conn, "relay", "you", TTL) == 2
        assert await leases.hold(conn, "relay", "me", TTL) is None


async def test_of_many_who_want_a_role_one_gets_it(db: Database) -> None:
    async def want(holder: str) -> int | None:
        async with db.connection() as conn:
            return await leases.hold(conn, "relay", holder, TTL)

    epochs = await asyncio.gather(*(want(f"w{n}") for n in range(10)))
    assert [epoch for epoch in epochs if epoch] == [1]


async def beat(db: Database, ttl: timedelta) -> None:
    async with db.connection() as conn:
        await processes.heartbeat(conn, db.holder, ttl)


async def end_silent(db: Database) -> dict[str, int]:
    async with db.connection() as conn:
        return await processes.end_silent(conn, db.holder)


async def test_a_silent_process_loses_its_transactions_and_works_on(
    db: Database, database_url: str
) -> None:
    await add_connection(db, settings())
    change = "update connections set version = version + 1 where id = $1 returning version"
    slow = await Database.open(database_url)
    changed = []

    async def be_silent() -> None:
        async with slow.transaction() as tx:
            await tx.execute(change, SHOES)
            await beat(slow, timedelta(0))
            assert await end_silent(db) == {slow.holder: 2}
            async with db.connection() as conn:
                changed.append(await conn.fetchval(change, SHOES))
            await tx.execute(change, SHOES)

    async def work_on() -> bool:
        try:
            async with slow.transaction() as tx:
                changed.append(await tx.fetchval(change, SHOES))
        except DatabaseUnavailable:  # on a connection whose end was not read yet
            return False
        return True

    try:
        with pytest.raises(DatabaseUnavailable):
            await be_silent()
        await eventually(work_on)
        assert changed[1] == changed[0] + 1
    finally:
        await slow.close()


async def test_who_is_heard_of_or_has_left_keeps_its_sessions(
    db: Database, database_url: str
) -> None:
    other = await Database.open(database_url)
    try:
        await beat(db, timedelta(0))
        await beat(other, TTL)
        assert await end_silent(db) == {}
        await beat(other, timedelta(0))
        async with other.connection() as conn:
            await processes.leave(conn, other.holder)
            assert await end_silent(db) == {}
            assert await conn.fetchval("select 1") == 1
    finally:
        await other.close()


async def take(db: Database, limit: int, keep_free: int = 0) -> bool:
    async with db.connection() as conn:
        return await budget.take(conn, SHOES, SERVICE, limit, keep_free) == (1, None)


async def test_the_budget_is_never_exceeded(db: Database) -> None:
    taken = await asyncio.gather(*(take(db, 25) for _ in range(60)))
    assert sum(taken) == 25


async def test_looks_leave_calls_to_actions(db: Database) -> None:
    assert [await take(db, 5, keep_free=2) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [await take(db, 5) for _ in range(3)] == [True, True, False]


async def test_of_several_calls_those_are_counted_that_there_is_room_for(db: Database) -> None:
    async with db.connection() as conn:
        assert await budget.take(conn, SHOES, SERVICE, 5, wanted=3) == (3, None)
        granted, again = await budget.take(conn, SHOES, SERVICE, 5, wanted=3)
        assert granted == 2
        assert again is not None
        assert await budget.take(conn, SHOES, SERVICE, 5, wanted=3) == (0, again)
        assert await conn.fetchval("select sum(calls) from calls") == 5


async def test_services_and_connections_have_their_own_budgets(db: Database) -> None:
    assert await take(db, 1)
    async with db.connection() as conn:
        assert await budget.take(conn, SHOES, "xml_maj_orders", 1) == (1, None)
        assert await budget.take(conn, ConnectionId("shoes-de"), SERVICE, 1) == (1, None)
        assert (await budget.take(conn, SHOES, SERVICE, 1))[0] == 0


async def calls_ago(db: Database, minutes: int, calls: int) -> None:
    async with db.connection() as conn:
        await conn.execute(
            """insert into calls (connection, service, minute, calls)
            values ($1, $2, date_trunc('minute', now()) - make_interval(mins => $3), $4)""",
            SHOES,
            SERVICE,
            minutes,
            calls,
        )


async def test_calls_of_an_hour_ago_no_longer_count(db: Database) -> None:
    await calls_ago(db, 62, 100)
    await calls_ago(db, 58, 3)
    assert [await take(db, 5) for _ in range(3)] == [True, True, False]
    async with db.connection() as conn:
        assert await conn.fetchval("select sum(calls) from calls") == 5


async def test_a_spent_budget_says_when_there_is_room_again(db: Database) -> None:
    for minutes, calls in ((50, 2), (40, 2), (30, 2)):
        await calls_ago(db, minutes, calls)
    async with db.connection() as conn:
        minute = await conn.fetchval("select date_trunc('minute', now())")
        first_free = {6: 50, 5: 50, 4: 40, 3: 40, 2: 30, 1: 30}
        for limit, minutes in first_free.items():
            _, again = await budget.take(conn, SHOES, SERVICE, limit)
            assert again is not None
            wait = again - minute
            assert abs(wait - timedelta(minutes=61 - minutes)) <= timedelta(minutes=1)


async def rest_is_over(db: Database, ago: str) -> None:
    async with db.connection() as conn:
        await conn.execute("update rests set until = now() - $1::text::interval", ago)


async def test_a_service_rests_twice_as_long_each_time_up_to_an_hour(db: Database) -> None:
    async with db.connection() as conn:
        for minutes in (5, 10, 20, 40, 60, 60):
            before = await conn.fetchval("select clock_timestamp()")
            until = await budget.rest(conn, SHOES, SERVICE, FIVE_MINUTES)
            wanted = timedelta(minutes=minutes)
            assert wanted <= until - before < wanted + timedelta(seconds=20)
            assert await budget.take(conn, SHOES, SERVICE, 100) == (0, until)
            assert await budget.take(conn, SHOES, "xml_maj_orders", 100) == (1, None)
            await rest_is_over(db, "1 second")


async def test_several_callers_told_at_once_make_one_rest(db: Database) -> None:
    async def told() -> object:
        async with db.connection() as conn:
            return await budget.rest(conn, SHOES, SERVICE, FIVE_MINUTES)

    assert len(set(await asyncio.gather(*(told() for _ in range(5))))) == 1


@pytest.mark.parametrize(("ago", "minutes"), [("59 minutes", 10), ("61 minutes", 5)])
async def test_after_an_hours_peace_a_rest_is_short_again(
    db: Database, ago: str, minutes: int
) -> None:
    async with db.connection() as conn:
        await budget.rest(conn, SHOES, SERVICE, FIVE_MINUTES)
        await rest_is_over(db, ago)
        before = await conn.fetchval("select clock_timestamp()")
        rest = await budget.rest(conn, SHOES, SERVICE, FIVE_MINUTES) - before
    assert timedelta(minutes=minutes) <= rest < timedelta(minutes=minutes, seconds=20)


async def test_what_is_left_of_the_hour(db: Database) -> None:
    await add_connection(db, settings(max_calls_per_hour=10))
    for _ in range(4):
        await take(db, 10)
    async with db.connection() as conn:
        assert await budget.remaining(conn) == {(SHOES, SERVICE): 6}
