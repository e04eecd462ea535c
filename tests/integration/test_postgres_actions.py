"""Actions: one holder at a time, in their order's sequence; a crash leaves them unsure."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from adapters.postgres import actions, budget, connections, orders
from adapters.postgres.actions import ClaimedAction
from adapters.postgres.database import Database
from statemachine.changes import Action, Changes
from statemachine.model import ActionKind, ActionStatus, ConnectionId, Order, OrderId, OrderState
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, marketplace_order, settings

SHOES = ConnectionId("shoes-fr")
HOLD = timedelta(seconds=30)


@pytest.fixture(autouse=True)
async def shoes(db: Database) -> None:
    await add_connection(db, settings())


async def queue(
    db: Database, *ids: str, kind: ActionKind = ActionKind.ACCEPT, connection: str = "shoes-fr"
) -> None:
    changes = []
    for order_id in ids:
        facts = marketplace_order(order_id=OrderId(order_id))
        order = Order(ConnectionId(connection), facts, OrderState.NEW, NOW, NOW)
        changes.append(Changes(order, actions=(Action(kind),)))
    async with db.transaction() as tx:
        await orders.record(tx, settings(id=connection), changes, {})


async def claim(
    db: Database, holder: str = "me", per_connection: int = 100, limit: int = 100, **hold: timedelta
) -> list[ClaimedAction]:
    async with db.transaction() as tx:
        return await actions.claim(tx, holder, hold.get("hold", HOLD), per_connection, limit)


async def settle(db: Database, action: ClaimedAction, status: ActionStatus) -> bool:
    async with db.transaction() as tx:
        return await actions.settle(tx, action.id, "me", status, "done", "said so")


async def test_what_is_claimed_is_held_and_counted(db: Database) -> None:
    await queue(db, "1")
    (action,) = await claim(db)
    assert (action.kind, action.order_id, action.attempts) == (ActionKind.ACCEPT, "1", 1)
    assert not action.unsure
    assert await claim(db, "you") == []


async def test_what_has_no_call_left_in_this_hour_is_not_claimed(db: Database) -> None:
    await queue(db, "1", "2", "3")
    async with db.transaction() as tx:
        await actions.request_fetch(tx, SHOES, OrderId("4"), "ada")
        limit = settings().max_calls_per_hour
        await budget.take(tx, SHOES, "xml_maj_orders", limit, wanted=limit - 1)
    claimed = await claim(db)
    assert sorted(action.kind for action in claimed) == [ActionKind.ACCEPT, ActionKind.FETCH]
    async with db.transaction() as tx:
        await budget.take(tx, SHOES, "xml_maj_orders", limit)
    assert await claim(db) == []
    async with db.connection() as conn:
        await conn.execute("update calls set minute = minute - interval '62 minutes'")
    assert [action.order_id for action in await claim(db)] == ["2", "3"]


async def test_an_action_is_never_handed_out_twice(db: Database) -> None:
    await queue(db, *(f"{n:03}" for n in range(200)))

    async def work(holder: str) -> list[int]:
        mine: list[int] = []
        while found := await claim(db, holder, per_connection=1000, limit=7):
            mine += [action.id for action in found]
        return mine

    everyone = await asyncio.gather(*(work(f"worker-{n}") for n in range(8)))
    taken = Counter(action_id for mine in everyone for action_id in mine)
    assert max(taken.values()) == 1
    # a worker may find everything locked and leave; what is left is there for the next
    assert len(taken) + len(await claim(db, "last", per_connection=1000, limit=1000)) == 200


async def test_a_crash_after_claiming_leaves_it_unsure_and_claimable(db: Database) -> None:
    await queue(db, "1")
    await claim(db, hold=timedelta(0))
    (again,) = await claim(db, "you")
    assert again.unsure
    assert again.attempts == 2


async def test_a_heartbeat_keeps_what_is_held(db: Database) -> None:
    await queue(db, "1")
    (action,) = await claim(db, hold=timedelta(0))
    async with db.connection() as conn:
        assert await actions.heartbeat(conn, "me", HOLD, [action.id]) == {action.id}
    assert await claim(db, "you") == []
    assert await settle(db, action, ActionStatus.DONE)


async def test_a_heartbeat_waits_for_no_action_that_is_being_settled(db: Database) -> None:
    await queue(db, "1")
    await queue(db, "2")
    settling, other = await claim(db)
    async with db.transaction() as tx:
        assert await actions.settle(tx, settling.id, "me", ActionStatus.DONE, "done", "")
        async with asyncio.timeout(5), db.connection() as conn:
            kept = await actions.heartbeat(conn, "me", HOLD, [settling.id, other.id])
    assert kept == {other.id}


async def test_what_nobody_works_on_any_more_runs_out(db: Database) -> None:
    await queue(db, "1")
    await claim(db, hold=timedelta(0))
    async with db.connection() as conn:
        assert await actions.heartbeat(conn, "me", HOLD, []) == set()
    assert len(await claim(db, "you")) == 1


async def test_an_orders_actions_go_one_after_the_other(db: Database) -> None:
    await queue(db, "1")
    await queue(db, "1", kind=ActionKind.CANCEL)
    async with db.transaction() as tx:
        await actions.request_fetch(tx, SHOES, OrderId("1"), "ada")
    first = await claim(db)
    assert [action.kind for action in first] == [ActionKind.ACCEPT, ActionKind.FETCH]
    assert await claim(db) == []
    assert await settle(db, first[0], ActionStatus.DONE)
    assert [action.kind for action in await claim(db)] == [ActionKind.CANCEL]


async def test_only_the_holder_settles_and_only_once(db: Database) -> None:
    await queue(db, "1")
    (lost,) = await claim(db, hold=timedelta(0))
    async with db.transaction() as tx:
        (mine,) = await actions.claim(tx, "you", HOLD, 1, 1)
        assert not await actions.settle(tx, lost.id, "me", ActionStatus.DONE, "done", "")
        assert not await actions.postpone(tx, lost.id, "me", NOW, True, "late")
        assert await actions.settle(tx, mine.id, "you", ActionStatus.FAILED, "rejected", "no")
        assert not await actions.settle(tx, mine.id, "you", ActionStatus.DONE, "done", "")
        (stored,) = await actions.find(tx, SHOES, OrderId("1"))
    assert (stored.status, stored.code, stored.message) == (ActionStatus.FAILED, "rejected", "no")


@pytest.mark.parametrize("unsure", [True, False])
async def test_a_postponed_action_waits_until_due(db: Database, unsure: bool) -> None:
    await queue(db, "1")
    (action,) = await claim(db)
    async with db.transaction() as tx:
        now = await tx.fetchval("select now()")
        assert await actions.postpone(tx, action.id, "me", now + HOLD, unsure, "503")
    assert await claim(db) == []
    async with db.connection() as conn:
        await conn.execute("update actions set due_at = now()")
    (again,) = await claim(db)
    assert again.unsure is unsure
    assert again.attempts == 2


async def test_no_connection_takes_more_than_its_share(db: Database) -> None:
    await add_connection(db, settings(id="shoes-de"))
    await queue(db, *(f"{n:02}" for n in range(30)))
    await queue(db, *(f"{n:02}" for n in range(2)), connection="shoes-de")
    first = await claim(db, per_connection=4)
    assert Counter(action.connection for action in first) == {"shoes-fr": 4, "shoes-de": 2}
    assert await claim(db, "you", per_connection=4) == []
    assert await settle(db, first[0], ActionStatus.DONE)
    assert len(await claim(db, "you", per_connection=4)) == 1


async def test_the_share_holds_between_replicas_that_claim_at_once(db: Database) -> None:
    await queue(db, *(f"{n:02}" for n in range(50)))
    taken = await asyncio.gather(*(claim(db, f"w{n}", per_connection=5) for n in range(6)))
    assert sum(map(len, taken)) == 5


async def test_disabled_suspended_and_resting_connections_wait(db: Database) -> None:
    await queue(db, "1")
    async with db.transaction() as tx:
        await actions.request_fetch(tx, SHOES, OrderId("9"), "ada")
        await connections.set_active(tx, SHOES, active=False)
    assert await claim(db) == []
    async with db.transaction() as tx:
        await connections.set_active(tx, SHOES, active=True)
        await connections.suspend(tx, SHOES, "bad_key", "no", NOW)
    assert await claim(db) == []
    async with db.transaction() as tx:
        await connections.resume(tx, SHOES, "by_command", "new key", NOW)
        await budget.rest(tx, SHOES, "xml_maj_orders", HOLD)
    (fetch,) = await claim(db)
    assert fetch.kind is ActionKind.FETCH


async def test_one_action_an_order_and_kind(db: Database) -> None:
    await queue(db, "1")
    await queue(db, "1")
    (action,) = await claim(db)
    await queue(db, "1")  # while it is carried out
    assert await settle(db, action, ActionStatus.DONE)
    await queue(db, "1")  # done is done
    assert await claim(db) == []
    async with db.connection() as conn:
        assert len(await actions.find(conn, SHOES, OrderId("1"))) == 1


async def test_a_failed_action_starts_again_behind_the_others(db: Database) -> None:
    await queue(db, "1")
    (failed,) = await claim(db)
    assert await settle(db, failed, ActionStatus.FAILED)
    await queue(db, "1", kind=ActionKind.CANCEL)
    await queue(db, "1")
    (cancel,) = await claim(db)
    assert cancel.kind is ActionKind.CANCEL
    assert await settle(db, cancel, ActionStatus.DONE)
    (again,) = await claim(db)
    assert again.id != failed.id  # an answer to the earlier one settles nothing now
    # an earlier try may have arrived: the order is read first
    assert (again.kind, again.attempts, again.unsure) == (ActionKind.ACCEPT, 1, True)


async def test_fetches_join_and_begin_anew_once_answered(db: Database) -> None:
    async with db.transaction() as tx:
        first = await actions.request_fetch(tx, SHOES, OrderId("1"), "ada")
        assert await actions.request_fetch(tx, SHOES, OrderId("1"), "bob") == first
    (fetch,) = await claim(db)
    assert await settle(db, fetch, ActionStatus.FAILED)
    async with db.transaction() as tx:
        outcome = await actions.fetch_outcome(tx, SHOES, OrderId("1"))
        assert (outcome.status, outcome.message) == (ActionStatus.FAILED, "said so")
        await actions.request_fetch(tx, SHOES, OrderId("1"), "ada")
        outcome = await actions.fetch_outcome(tx, SHOES, OrderId("1"))
        assert (outcome.status, outcome.message) == (ActionStatus.PENDING, "")
    (again,) = await claim(db)
    assert again.attempts == 1


async def test_what_waits_is_counted(db: Database) -> None:
    await queue(db, "1", "2")
    await queue(db, "1", kind=ActionKind.CANCEL)
    async with db.connection() as conn:
        waiting = {w.kind: w for w in await actions.pending(conn)}
    assert {kind: (w.connection, w.count) for kind, w in waiting.items()} == {
        ActionKind.ACCEPT: (SHOES, 2),
        ActionKind.CANCEL: (SHOES, 1),
    }
    accept, cancel = waiting[ActionKind.ACCEPT].oldest, waiting[ActionKind.CANCEL].oldest
    assert accept is not None
    assert cancel is not None
    assert accept <= cancel
    async with db.transaction() as tx:
        await tx.execute("update connections set active = false")
        assert {w.oldest for w in await actions.pending(tx)} == {None}


async def test_a_step_that_supersedes_leaves_what_is_on_its_way(db: Database) -> None:
    await queue(db, "1", "2")
    claimed = await claim(db, limit=1)
    changes = [
        Changes(
            Order(SHOES, marketplace_order(order_id=OrderId(n)), OrderState.NEW, NOW, NOW),
            settled={ActionKind.ACCEPT: "superseded"},
        )
        for n in ("1", "2")
    ]
    async with db.transaction() as tx:
        await orders.record(tx, settings(), changes, {})
        found = [(await actions.find(tx, SHOES, OrderId(n)))[0].status for n in ("1", "2")]
    assert found == [ActionStatus.PENDING, ActionStatus.SUPERSEDED]
    assert await settle(db, claimed[0], ActionStatus.DONE)
