"""Returns: what a step changes is written once and read back equal; their actions and labels."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.ports import Label
from adapters.postgres import actions, budget, events, orders, quarantine, returns
from adapters.postgres.actions import ClaimedAction
from adapters.postgres.database import Database
from adapters.postgres.errors import Conflict
from adapters.postgres.paging import BadCursor
from statemachine.changes import Action, Changes
from statemachine.model import (
    ActionKind,
    ActionStatus,
    ConnectionId,
    Order,
    OrderId,
    OrderState,
    Problem,
    Return,
    ReturnId,
    ReturnState,
)
from statemachine.return_facts import AcceptReturn, GivenLabel, LabelReturn, RefuseReturn
from tests.fixtures.postgres import add_connection
from tests.unit.builders import (
    NOW,
    ORDER_ID,
    RETURN_ID,
    ReturnStory,
    marketplace_order,
    settings,
)

SHOES = ConnectionId("shoes-fr")
HOLD = timedelta(seconds=30)
LINK = GivenLabel("d1", "https://label.example/1")


async def store(db: Database, story: ReturnStory, connection: ConnectionId = SHOES) -> None:
    for changes in story.steps:
        async with db.transaction() as tx:
            await returns.record(tx, connection, [changes], {})


async def locked(db: Database, return_id: ReturnId = RETURN_ID) -> Return:
    async with db.transaction() as tx:
        return (await returns.lock(tx, SHOES, [return_id]))[return_id]


async def claim(db: Database) -> list[ClaimedAction]:
    async with db.transaction() as tx:
        return await actions.claim(tx, "me", HOLD, 100, 100)


@pytest.mark.parametrize("status", [2, 3, 4, 5, 7])
async def test_a_return_in_any_state_comes_back_equal(db: Database, status: int) -> None:
    story = ReturnStory().seen(status=status)
    await store(db, story)
    assert await locked(db) == story.returned
    async with db.connection() as conn:
        assert await returns.find(conn, RETURN_ID) == [story.returned]
        assert await returns.of_order(conn, SHOES, ORDER_ID) == [story.returned]
        assert await returns.history(conn, SHOES, RETURN_ID) == list(story.last.history)
        logged = await events.after(conn, 0, 100, order_id=ORDER_ID)
    assert [event.type for event in logged] == story.told
    assert [event.sequence for event in logged] == list(range(1, len(logged) + 1))
    assert {event.subject for event in logged} == {RETURN_ID}


async def test_every_field_comes_back_equal(db: Database) -> None:
    story = ReturnStory().seen().does(LabelReturn("ada", LINK))
    returned = replace(
        story.returned,
        label_link=LINK.link,
        has_label=True,
        problem=Problem("rejected", "no", "return_label", NOW),
    )
    story.steps[-1] = replace(story.last, returned=returned)
    await store(db, story)
    assert await locked(db) == returned


async def test_a_return_created_twice_is_a_conflict(db: Database) -> None:
    await store(db, ReturnStory().seen())
    with pytest.raises(Conflict):
        await store(db, ReturnStory().seen())
    async with db.connection() as conn:
        assert len(await events.after(conn, 0, 100)) == 1


async def test_two_replicas_that_see_the_same_returns_never_deadlock(db: Database) -> None:
    stories = [ReturnStory().seen(return_id=ReturnId(str(n))) for n in range(40)]

    async def batch(order: int) -> None:
        changes = [story.last for story in stories[::order]]
        async with db.transaction() as tx:
            await returns.record(tx, SHOES, changes, {})

    results = await asyncio.gather(batch(1), batch(-1), return_exceptions=True)
    assert [type(result) for result in results if result] == [Conflict]


async def test_actions_of_a_return_go_one_after_the_other_and_wait_for_their_service(
    db: Database,
) -> None:
    await add_connection(db, settings())
    story = ReturnStory().seen().does(AcceptReturn("ada", LINK))
    await store(db, story)
    async with db.connection() as conn:
        await budget.rest(conn, SHOES, "xml_maj_returns", HOLD)
    assert await claim(db) == []
    async with db.connection() as conn:
        await conn.execute("delete from rests")
        await budget.rest(conn, SHOES, "xml_maj_orders", HOLD)
    (label,) = await claim(db)
    assert (label.kind, str(label.order_id)) == (ActionKind.RETURN_LABEL, RETURN_ID)
    assert await claim(db) == []
    async with db.transaction() as tx:
        assert await actions.settle(tx, label.id, "me", ActionStatus.DONE, "done", "")
    assert [action.kind for action in await claim(db)] == [ActionKind.RETURN_ACCEPT]
    async with db.connection() as conn:
        found = await actions.find_of_return(conn, SHOES, RETURN_ID)
    assert [(a.kind, a.requested_by) for a in found] == [
        (ActionKind.RETURN_LABEL, "ada"),
        (ActionKind.RETURN_ACCEPT, "ada"),
    ]


async def test_a_return_and_an_order_of_the_same_id_keep_their_actions_apart(db: Database) -> None:
    story = ReturnStory().seen().does(RefuseReturn("ada"))
    await store(db, story)
    same = OrderId(RETURN_ID)
    order = Order(SHOES, marketplace_order(order_id=same), OrderState.NEW, NOW, NOW)
    async with db.transaction() as tx:
        changes = Changes(order, created=True, actions=(Action(ActionKind.ACCEPT),))
        await orders.record(tx, settings(), [changes], {})
        (found,) = await orders.find(tx, same)
        assert found.actions == {ActionKind.ACCEPT: ActionStatus.PENDING}
        assert [a.kind for a in await actions.find(tx, SHOES, same)] == [ActionKind.ACCEPT]
    assert (await locked(db)).actions == {ActionKind.RETURN_REFUSE: ActionStatus.PENDING}


async def test_a_label_is_kept_until_it_is_sent_and_another_is_sent_anew(db: Database) -> None:
    await add_connection(db, settings())
    story = ReturnStory().seen().does(LabelReturn("ada", LINK))
    await store(db, story)
    async with db.transaction() as tx:
        await returns.keep_label(tx, SHOES, RETURN_ID, Label(link=LINK.link))
        await returns.keep_label(tx, SHOES, RETURN_ID, Label(pdf=b"%PDF-1.4"))
        assert await returns.label(tx, SHOES, RETURN_ID) == Label(pdf=b"%PDF-1.4")
    (sent,) = await claim(db)
    again = ReturnStory()
    again.steps = [replace(ReturnStory().seen().last, returned=await locked(db))]
    again.carried_out(ActionKind.RETURN_LABEL, LINK)
    async with db.transaction() as tx:
        await returns.record(tx, SHOES, [again.last], {})
        await actions.settle(tx, sent.id, "me", ActionStatus.DONE, "done", "")
        assert await returns.label(tx, SHOES, RETURN_ID) is None
    again.does(LabelReturn("ada", GivenLabel("d2")))
    async with db.transaction() as tx:
        await returns.record(tx, SHOES, [again.last], {})
    (another,) = await claim(db)
    assert another.kind is ActionKind.RETURN_LABEL
    assert another.id != sent.id


async def test_what_was_read_is_known_in_quarantine_or_not(db: Database) -> None:
    kept, held = ReturnId("1"), ReturnId("2")
    story = ReturnStory().seen(return_id=kept)
    async with db.transaction() as tx:
        await returns.record(tx, SHOES, [story.last], {kept: b"a"})
        key = returns.quarantine_key(held)
        await quarantine.put(tx, SHOES, key, b"b", b"<return/>", "no date", NOW)
        both = await returns.fingerprints(tx, SHOES, [kept, held, ReturnId("3")])
        assert both == {kept: b"a", held: b"b"}
        await returns.keep_fingerprints(tx, SHOES, {kept: b"c"})
        assert await quarantine.reopen(tx, SHOES, key)
        assert await returns.fingerprints(tx, SHOES, [kept, held]) == {kept: b"c"}


async def test_pages_filter_and_lead_on(db: Database) -> None:
    await add_connection(db, settings())
    for number in range(5):
        at = NOW - timedelta(days=number)
        story = ReturnStory().seen(
            return_id=ReturnId(str(number)),
            requested_at=at,
            order_id=OrderId("A" if number % 2 else "B"),
            status=4 if number == 3 else 2,
        )
        await store(db, story)

    async def ids(**wanted: object) -> list[str]:
        async with db.connection() as conn:
            page = await returns.page(conn, **wanted)  # type: ignore[arg-type] # by name
        return [returned.id for returned in page.items]

    assert await ids() == ["0", "1", "2", "3", "4"]
    assert await ids(state=ReturnState.ACCEPTED) == ["3"]
    assert await ids(order_id="a") == ["1", "3"]
    assert await ids(connection=ConnectionId("other")) == []
    assert await ids(attention=True) == []
    async with db.connection() as conn:
        first = await returns.page(conn, limit=2)
        assert first.next_cursor is not None
        assert await ids(limit=2, cursor=first.next_cursor) == ["2", "3"]
        assert await returns.counts(conn) == {
            (SHOES, ReturnState.REQUESTED): 4,
            (SHOES, ReturnState.ACCEPTED): 1,
        }
        with pytest.raises(BadCursor):
            await returns.page(conn, cursor="x")
