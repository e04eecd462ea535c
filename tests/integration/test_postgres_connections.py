"""Connections, their looks, their quarantine: settings whole, keys sealed, work handed out once."""

import asyncio
from datetime import date, datetime, timedelta

import orjson
import pytest
from cryptography.fernet import Fernet, MultiFernet

from adapters.postgres import clock, connections, events, inbox, looks, quarantine
from adapters.postgres.connections import Connection, ConnectionExists, UnreadableKey
from adapters.postgres.database import Database
from adapters.postgres.errors import StaleVersion, UnknownConnection
from adapters.postgres.looks import ClaimedLook, Look, Room
from statemachine.changes import EventType
from statemachine.model import ConnectionId
from tests.fixtures.postgres import ADDED_AT, CIPHER, add_connection, eventually, waits_for_a_lock
from tests.unit.builders import HOUR, NOW, settings

SHOES = ConnectionId("shoes-fr")
HOLD = timedelta(seconds=30)
KEY = "0123456789abcdef"
ROOM = Room(10, at_a_site=10, at_sites={}, failing=10)


async def get(db: Database, connection: str = "shoes-fr") -> Connection:
    async with db.connection() as conn:
        return await connections.get(conn, ConnectionId(connection))


async def claim(db: Database, holder: str = "me", hold: timedelta = HOLD) -> list[ClaimedLook]:
    async with db.transaction() as tx:
        return await looks.claim_due(tx, holder, hold, ROOM)


async def test_settings_come_back_equal(db: Database) -> None:
    given = settings(
        price_threshold="0.970",
        sync_from=date(2026, 1, 1),
        shipping_services=("DPD",),
        poll_interval="1.5s",
        base_url="http://127.0.0.1:1/mp",
    )
    await add_connection(db, given)
    added = await get(db)
    assert added.settings == given
    assert (added.id, added.version, added.added_at) == (SHOES, 1, ADDED_AT)
    assert added.has_key
    assert added.suspended_at is None


async def test_orders_count_from_the_day_of_adding_in_its_zone(db: Database) -> None:
    late = datetime.fromisoformat("2026-11-20T23:30:00+00:00")
    async with db.transaction() as tx:
        paris = await connections.add(tx, CIPHER, settings(id="fr"), None, late)
        lisbon = settings(id="pt", timezone="Europe/Lisbon")
        portugal = await connections.add(tx, CIPHER, lisbon, None, late)
    assert paris.settings.sync_from == date(2026, 11, 21)
    assert portugal.settings.sync_from == date(2026, 11, 20)


async def test_a_second_connection_of_one_id_is_refused(db: Database) -> None:
    await add_connection(db, settings())
    with pytest.raises(ConnectionExists, match="shoes-fr"):
        await add_connection(db, settings())


async def test_unknown_connections_are_named(db: Database) -> None:
    with pytest.raises(UnknownConnection, match="hats-fr"):
        await get(db, "hats-fr")


async def test_the_key_is_sealed_and_shown_to_nobody(db: Database) -> None:
    await add_connection(db, settings())
    async with db.connection() as conn:
        row = await conn.fetchrow("select * from connections")
        assert KEY not in str(row)
        assert KEY not in repr(await get(db))
        assert await connections.api_key(conn, CIPHER, SHOES) == KEY


async def test_keys_are_sealed_anew_while_rotating(db: Database) -> None:
    await add_connection(db, settings())
    new = Fernet(Fernet.generate_key())
    with pytest.raises(UnreadableKey, match="shoes-fr") as raised:
        async with db.transaction() as tx:
            await connections.rotate(tx, MultiFernet([new]))
    assert KEY not in str(raised.value)
    async with db.transaction() as tx:
        assert await connections.rotate(tx, MultiFernet([new, *CIPHER._fernets])) == 1
        assert await connections.api_key(tx, MultiFernet([new]), SHOES) == KEY


async def test_an_update_needs_the_version_it_was_read_at(db: Database) -> None:
    await add_connection(db, settings())
    changed = settings(auto_accept=False, sync_from=None)
    async with db.transaction() as tx:
        after = await connections.update(tx, CIPHER, changed, expected_version=1)
        assert (after.version, after.settings.auto_accept) == (2, False)
        assert after.settings.sync_from == ADDED_AT.date()
        assert await connections.api_key(tx, CIPHER, SHOES) == KEY
        with pytest.raises(StaleVersion, match="version 2, not 1"):
            await connections.update(tx, CIPHER, changed, expected_version=1)
        after = await connections.update(tx, CIPHER, changed, api_key="new")
        assert await connections.api_key(tx, CIPHER, SHOES) == "new"
        assert (await connections.list_all(tx)) == [after]


async def test_suspending_and_resuming_tell_once(db: Database) -> None:
    await add_connection(db, settings())
    async with db.transaction() as tx:
        assert await connections.suspend(tx, SHOES, "bad_key", "the key is wrong", NOW)
        assert not await connections.suspend(tx, SHOES, "deactivated", "no", NOW)
        held = await connections.get(tx, SHOES)
        reason = (held.suspended_at, held.suspended_reason, held.suspended_message)
        assert reason == (NOW, "bad_key", "the key is wrong")
        assert await connections.resume(tx, SHOES, "by_command", "new key", NOW + HOUR)
        assert not await connections.resume(tx, SHOES, "by_command", "new key", NOW)
        told = await events.after(tx, 0, 10)
    assert [e.type for e in told] == [EventType.CONNECTION_SUSPENDED, EventType.CONNECTION_RESUMED]
    assert {(e.source, e.subject) for e in told} == {("/spartoo/shoes-fr", "shoes-fr")}
    assert orjson.loads(told[0].data) == {
        "connection": "shoes-fr",
        "reason": "bad_key",
        "message": "the key is wrong",
    }


async def test_two_activations_count_one_after_the_other(db: Database) -> None:
    for name in ("one", "two"):
        await add_connection(db, settings(id=name, active=False))

    async def count() -> int:
        async with db.transaction() as tx:
            return await connections.active_count(tx)

    async with db.transaction() as tx:
        assert await connections.active_count(tx) == 0
        other = asyncio.create_task(count())
        await eventually(lambda: waits_for_a_lock(db))
        assert await connections.set_active(tx, ConnectionId("one"), active=True)
    assert await other == 1


async def test_a_new_connection_is_looked_at_now_and_deeply_later(db: Database) -> None:
    await add_connection(db, settings())
    assert {look.look for look in await claim(db)} == {Look.FRESH, Look.OPEN}
    async with db.connection() as conn:
        states = {state.look: state for state in await looks.state(conn, SHOES)}
        now = await conn.fetchval("select now()")
    deep = states[Look.DEEP].due_at
    assert deep is not None
    assert timedelta(hours=23) < deep - now <= timedelta(hours=24)


async def test_a_look_has_one_holder(db: Database) -> None:
    for n in range(20):
        await add_connection(db, settings(id=f"shop-{n}"))
    taken = await asyncio.gather(*(claim(db, f"w{n}") for n in range(8)))
    keys = [(look.connection, look.look) for mine in taken for look in mine]
    assert len(keys) == len(set(keys))
    keys += [(look.connection, look.look) for look in await claim(db, "x")]
    assert len(keys) == len(set(keys)) <= 40


async def test_a_look_taken_over_can_not_be_finished_by_the_first(db: Database) -> None:
    await add_connection(db, settings())
    stale = (await claim(db, hold=timedelta(0)))[0]
    mine = next(look for look in await claim(db, "you") if look.look is stale.look)
    assert mine.epoch == stale.epoch + 1
    async with db.transaction() as tx:
        assert not await looks.finish(tx, stale, due_at=NOW, cursor=NOW)
        assert await looks.finish(tx, mine, due_at=NOW, cursor=NOW + HOUR)
        assert not await looks.finish(tx, mine, due_at=NOW)
        (state,) = [s for s in await looks.state(tx) if s.look is stale.look]
    assert state.cursor == NOW + HOUR


async def test_a_heartbeat_keeps_looks_and_release_frees_them(db: Database) -> None:
    await add_connection(db, settings())
    mine = await claim(db, hold=timedelta(0))
    async with db.connection() as conn:
        in_hand = {(look.connection, look.look) for look in mine}
        assert await looks.heartbeat(conn, "me", HOLD, in_hand) == in_hand
        assert await looks.heartbeat(conn, "me", HOLD, []) == set()
        assert await claim(db, "you") == []
        await looks.release(conn, "me")
    assert len(await claim(db, "you")) == 2


async def test_a_heartbeat_waits_for_no_look_that_is_being_changed(db: Database) -> None:
    await add_connection(db, settings())
    in_hand = {(look.connection, look.look) for look in await claim(db)}
    async with db.transaction() as tx:
        assert await looks.request(tx, SHOES)
        async with asyncio.timeout(5), db.connection() as conn:
            kept = await looks.heartbeat(conn, "me", HOLD, in_hand)
    assert kept == in_hand - {(SHOES, Look.FRESH)}


async def fresh(db: Database) -> ClaimedLook:
    (look,) = [look for look in await claim(db) if look.look is Look.FRESH]
    return look


async def test_a_look_that_failed_keeps_its_cursor_and_counts(db: Database) -> None:
    await add_connection(db, settings())
    async with db.connection() as conn:
        now = await conn.fetchval("select now() - interval '1 second'")
    look = await fresh(db)
    async with db.transaction() as tx:
        await looks.finish(tx, look, due_at=now, cursor=NOW, summary="3 read")
    for failures in (0, 1):
        look = await fresh(db)
        assert (look.failures, look.cursor) == (failures, NOW)
        async with db.transaction() as tx:
            await looks.finish(tx, look, due_at=now, error="503")
    async with db.connection() as conn:
        (state,) = [s for s in await looks.state(conn) if s.look is Look.FRESH]
    assert (state.error, state.failures) == ("503", 2)
    assert state.succeeded_at is not None


async def test_a_request_while_a_look_runs_makes_another(db: Database) -> None:
    await add_connection(db, settings())
    look = await fresh(db)
    async with db.transaction() as tx:
        assert await looks.request(tx, SHOES)
    async with db.transaction() as tx:
        await looks.finish(tx, look, due_at=NOW + 1000 * HOUR)
    assert (await fresh(db)).epoch == look.epoch + 1


async def test_a_backfill_runs_once_from_the_earliest_date(db: Database) -> None:
    await add_connection(db, settings())
    await claim(db)
    for since in (NOW, NOW - HOUR, NOW + HOUR):
        async with db.transaction() as tx:
            assert await looks.request(tx, SHOES, since)
    (backfill,) = await claim(db)
    assert (backfill.look, backfill.since) == (Look.BACKFILL, NOW - HOUR)
    async with db.transaction() as tx:
        await looks.finish(tx, backfill, due_at=None)
    assert await claim(db) == []
    async with db.transaction() as tx:
        await looks.request(tx, SHOES, NOW + 2 * HOUR)
    (again,) = await claim(db)
    assert again.since == NOW + 2 * HOUR


async def test_a_backfill_that_failed_is_tried_again_from_its_date(db: Database) -> None:
    await add_connection(db, settings())
    await claim(db)
    async with db.transaction() as tx:
        await looks.request(tx, SHOES, NOW)
    (backfill,) = await claim(db)
    async with db.transaction() as tx:
        await looks.finish(tx, backfill, due_at=NOW - HOUR, error="503")
    (again,) = await claim(db)
    assert (again.look, again.since, again.failures) == (Look.BACKFILL, NOW, 1)


async def test_disabled_and_suspended_connections_are_not_looked_at(db: Database) -> None:
    await add_connection(db, settings(active=False))
    async with db.transaction() as tx:
        assert not await looks.request(tx, SHOES)
    assert await claim(db) == []
    async with db.transaction() as tx:
        assert await connections.set_active(tx, SHOES, active=True)
        await connections.suspend(tx, SHOES, "bad_key", "no", NOW)
        assert await looks.next_due(tx) is None
    assert await claim(db) == []
    async with db.transaction() as tx:
        await connections.resume(tx, SHOES, "by_command", "", NOW)
        assert await looks.next_due(tx) is not None
    assert len(await claim(db)) == 2


async def test_quarantine_tells_news_only(db: Database) -> None:
    async with db.transaction() as tx:
        assert await quarantine.put(tx, SHOES, "1", b"f1", b"<a>", "no id", NOW) == NOW
        assert await quarantine.put(tx, SHOES, "1", b"f1", b"<a>", "no id", NOW + HOUR) is None
        later = NOW + 2 * HOUR
        assert await quarantine.put(tx, SHOES, "1", b"f2", b"<b>", "no id", later) == NOW
        assert await quarantine.put(tx, SHOES, "1", b"f2", b"<b>", "no date", later) == NOW
        (entry,) = await quarantine.get(tx, "1")
        assert (entry.xml, entry.error, entry.last_seen_at) == (b"<b>", "no date", later)
        assert await quarantine.counts(tx) == {SHOES: 1}
        assert not await quarantine.reopen(tx, SHOES, "2")
        assert await quarantine.reopen(tx, SHOES, "1")
        await quarantine.remove(tx, SHOES, ["1", "2"])
        assert await quarantine.get(tx, "1", SHOES) == []


async def test_pages_of_quarantine(db: Database) -> None:
    async with db.transaction() as tx:
        for n in range(5):
            for connection in ("a", "b"):
                key = ConnectionId(connection)
                await quarantine.put(tx, key, f"{n}", b"f", b"<x>", "bad", NOW)
        first, cursor = await quarantine.page(tx, limit=7)
        rest, end = await quarantine.page(tx, limit=7, cursor=cursor)
        found = [(entry.connection, entry.order_id) for entry in (*first, *rest)]
        assert found == [(c, f"{n}") for c in ("a", "b") for n in range(5)]
        assert end is None
        assert len((await quarantine.page(tx, connection=ConnectionId("b"))).items) == 5


async def test_a_command_delivered_twice_at_once_is_done_once(db: Database) -> None:
    async def second() -> dict[str, inbox.Answered]:
        async with db.transaction() as tx:
            return await inbox.seen(tx, ["c-2", "c-1"])

    async with db.transaction() as tx:
        assert await inbox.seen(tx, ["c-1"]) == {}
        again = asyncio.create_task(second())
        await eventually(lambda: waits_for_a_lock(db))
        await inbox.keep(tx, [("c-1", "order.accept", b"{}", b'{"status":"done"}')])
    assert await again == {"c-1": (b"{}", b'{"status":"done"}')}


async def test_a_new_connection_wakes_the_poller(db: Database) -> None:
    woken = asyncio.create_task(wait_twice(db))
    await eventually(lambda: listening(db))
    await add_connection(db, settings())
    assert await woken


async def wait_twice(db: Database) -> bool:
    await db.wakeups.wait("looks", 10)  # the first time anything may be news
    return await db.wakeups.wait("looks", 10)


async def listening(db: Database) -> bool:
    query = "select count(*) from pg_stat_activity where application_name like '%wake-ups'"
    async with db.connection() as conn:
        return bool(await conn.fetchval(query + " and datname = current_database()"))


async def test_a_site_and_what_failed_take_no_more_than_their_share(db: Database) -> None:
    for n in range(6):
        await add_connection(db, settings(id=f"fr-{n}"))
    await add_connection(db, settings(id="it", site="it"))
    async with db.transaction() as tx:
        await tx.execute("update looks set failures = 1 where connection < 'fr-4'")
        claimed = await looks.claim_due(tx, "me", HOLD, Room(50, 5, {"fr": 2}, failing=1))
    assert [look.site for look in claimed].count("fr") <= 3
    assert sum(look.failures > 0 for look in claimed) <= 1
    assert {look.connection for look in claimed} >= {"it"}
    async with db.transaction() as tx:
        left_out = [ConnectionId("it")]
        claimed = await looks.claim_due(tx, "you", HOLD, Room(50, 50, {}, 50), left_out)
    assert "it" not in {look.connection for look in claimed}


async def test_a_clock_set_back_leaves_nothing_to_wait_for(db: Database) -> None:
    await add_connection(db, settings())
    async with db.transaction() as tx:
        await tx.execute("update looks set due_at = due_at + interval '30 days'")
        await tx.execute("update looks set held_until = now() + interval '1 day', holder = 'x'")
        await clock.come_back(tx, timedelta(seconds=4))
        last = await tx.fetchval("select max(held_until) < now() + interval '9 s' from looks")
        assert last
        await tx.execute("update looks set held_until = null, holder = null")
    assert {look.look for look in await claim(db)} == {Look.FRESH, Look.OPEN}
