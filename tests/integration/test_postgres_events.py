"""The event log: sequences without gaps, positions in order, what the relay reads and moves."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson
import pytest

from adapters.postgres import events, leases
from adapters.postgres.database import Database
from statemachine.changes import Event, EventType
from statemachine.model import ConnectionId, Customer, OrderId
from tests.fixtures.postgres import eventually

SHOES = ConnectionId("shoes-fr")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event(subject: str = "1", connection: str = "shoes-fr", **data: object) -> Event:
    return Event(
        type=EventType.ORDER_NEW,
        source=f"/spartoo/{connection}",
        subject=subject,
        time=NOW,
        data=data,
        connection=ConnectionId(connection),
        order_id=subject,
    )


async def append(db: Database, *given: Event) -> None:
    async with db.transaction() as tx:
        await events.append(tx, given)


async def test_positions_follow_the_list_and_sequences_each_subject(db: Database) -> None:
    await append(db, event("b"), event("a"), event("b"))
    await append(db, event("b"), event("a", connection="shoes-de"))
    async with db.connection() as conn:
        logged = await events.after(conn, 0, 10)
        assert [e.position for e in logged] == sorted(e.position for e in logged)
        assert [(e.source[9:], e.subject, e.sequence) for e in logged] == [
            ("shoes-fr", "b", 1),
            ("shoes-fr", "a", 1),
            ("shoes-fr", "b", 2),
            ("shoes-fr", "b", 3),
            ("shoes-de", "a", 1),
        ]
        assert len({e.id for e in logged}) == 5
        assert {e.id.version for e in logged} == {7}


async def test_data_is_json_with_exact_money(db: Database) -> None:
    await append(db, event(total=Decimal("64.990"), customer=Customer("Ada"), at=NOW))
    async with db.connection() as conn:
        (logged,) = await events.after(conn, 0, 1)
    data = orjson.loads(logged.data)
    assert data["total"] == "64.990"
    assert data["customer"]["first_name"] == "Ada"
    assert data["at"] == "2026-11-20T12:00:00+00:00"


async def test_sequences_have_no_gaps_under_many_writers(db: Database) -> None:
    async def write(number: int) -> None:
        for n in range(10):
            subjects = ["x", "y", f"own-{number}"] if (n + number) % 2 else ["y", "x"]
            if n == 5:  # a step that is rolled back leaves no hole
                await roll_back(db, *map(event, subjects))
            await append(db, *map(event, subjects))

    await asyncio.gather(*(write(number) for number in range(8)))
    async with db.connection() as conn:
        logged = await events.after(conn, 0, 1000)
    for subject in ("x", "y"):
        sequences = [e.sequence for e in logged if e.subject == subject]
        assert sequences == list(range(1, 81))  # in position order too


async def roll_back(db: Database, *given: Event) -> None:
    async with db.connection() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await events.append(conn, given)
        await transaction.rollback()


async def test_the_log_is_read_on_from_a_position_and_filtered(db: Database) -> None:
    await append(db, event("1"), event("2", "shoes-de"), event("1"), event("3"))
    async with db.connection() as conn:
        first, second, third, fourth = await events.after(conn, 0, 10)
        assert await events.after(conn, second.position, 1) == [third]
        assert await events.after(conn, 0, 10, connection=ConnectionId("shoes-de")) == [second]
        assert await events.after(conn, 0, 10, order_id=OrderId("1")) == [first, third]
        assert await events.after(conn, 0, 10, type=EventType.ORDER_LOST) == []
        positions = [fourth.position, first.position, 999]
        assert await events.at(conn, positions) == [first, fourth]


async def test_the_relay_position_moves_forward_only(db: Database) -> None:
    async with db.transaction() as tx:
        assert await events.relay_position(tx) == 0
        assert await events.advance(tx, 5, None)
        assert await events.advance(tx, 3, None)
        assert await events.relay_position(tx) == 5


async def test_a_relay_that_lost_its_lease_moves_nothing(db: Database) -> None:
    async with db.connection() as conn:
        mine = await leases.hold(conn, "relay", "me", timedelta(seconds=30))
        assert await events.advance(conn, 5, mine)
        await leases.release(conn, "me")
        assert not await events.advance(conn, 6, mine)
        theirs = await leases.hold(conn, "relay", "you", timedelta(seconds=30))
        assert not await events.advance(conn, 6, mine)
        assert await events.advance(conn, 7, theirs)
        assert await events.relay_position(conn) == 7


@pytest.mark.parametrize("first", ["late", "early"])
async def test_it_is_told_when_a_gap_can_fill_no_more(db: Database, first: str) -> None:
    """Also when who took the gap's position began to write after all that are over."""
    async with db.connection() as reader, db.connection() as one, db.connection() as other:
        late, early = one.transaction(), other.transaction()
        await late.start()
        await early.start()
        for conn in (one, other) if first == "late" else (other, one):
            await conn.execute("select pg_current_xact_id()")
        await events.append(one, [event("late")])
        await events.append(other, [event("early")])
        await early.commit()
        (found,) = await events.after(reader, 0, 10)
        assert found.position == 2
        seen_at = await events.next_transaction(reader)
        assert await events.oldest_running(reader) < seen_at
        await late.commit()

        async def over() -> bool:  # vacuum has transactions too
            return await events.oldest_running(reader) >= seen_at

        await eventually(over)
        assert [e.subject for e in await events.after(reader, 0, 10)] == ["late", "early"]


async def test_the_backlog_is_counted_from_the_relay_position(db: Database) -> None:
    async with db.connection() as conn:
        assert await events.backlog(conn) == (0, None)
        await append(db, *(event(str(n)) for n in range(5)))
        assert await events.backlog(conn) == (5, NOW)
        await events.advance(conn, 5, None)
        assert await events.backlog(conn) == (0, None)


async def test_a_large_backlog_is_counted_without_reading_it(db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute(
            """insert into events (id, type, source, subject, sequence, time, data)
            select gen_random_uuid(), 'order.new', 's', 's', n, now(), '{}'
            from generate_series(1, 12000) as n"""
        )
        waiting, _ = await events.backlog(conn)
        assert waiting == 12000
