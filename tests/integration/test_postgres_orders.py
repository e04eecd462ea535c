"""Orders: what a step changes is written once and read back equal."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.postgres import actions, catalog, events, orders, quarantine
from adapters.postgres.catalog import ProductChange
from adapters.postgres.database import Database, Tx
from adapters.postgres.errors import Conflict
from adapters.postgres.paging import BadCursor
from statemachine.changes import Changes, EventType
from statemachine.facts import AcknowledgeOrder, CancelOrder
from statemachine.model import (
    ActionKind,
    ActionStatus,
    CatalogId,
    ConnectionId,
    Customer,
    Order,
    OrderId,
    OrderState,
    Problem,
    Relay,
    Shipment,
    ShippedItem,
)
from tests.fixtures.postgres import add_connection, eventually, waits_for_a_lock
from tests.unit.builders import (
    HOUR,
    NOW,
    ORDER_ID,
    Story,
    line,
    marketplace_order,
    product,
    reach,
    settings,
)

SHOES = ConnectionId("shoes-fr")
DEFAULT = CatalogId("default")


async def store(db: Database, *changes: Changes, connection: str = "shoes-fr") -> None:
    async with db.transaction() as tx:
        await orders.record(tx, settings(id=connection), changes, {})


async def locked(db: Database, order_id: OrderId = ORDER_ID) -> Order:
    async with db.transaction() as tx:
        return (await orders.lock(tx, SHOES, [order_id]))[order_id]


def first_seen(order_id: str, connection: str = "shoes-fr", **given: object) -> Changes:
    facts = marketplace_order(order_id=OrderId(order_id), **given)
    order = Order(ConnectionId(connection), facts, OrderState.NEW, NOW, NOW)
    return Changes(order, created=True)


async def write_products(tx: Tx) -> None:
    await catalog.lock(tx, DEFAULT, [product().id])
    await catalog.write(tx, [product()], [], NOW)


@pytest.mark.parametrize("state", list(OrderState))
async def test_an_order_in_any_state_comes_back_equal(db: Database, state: OrderState) -> None:
    story = reach(state)
    async with db.transaction() as tx:
        await write_products(tx)
    for changes in story.steps:
        await store(db, changes)
    assert await locked(db) == story.order
    async with db.connection() as conn:
        assert await orders.find(conn, ORDER_ID) == [story.order]
        history = await orders.history(conn, SHOES, ORDER_ID)
        assert history == [move for changes in story.steps for move in changes.history]
        logged = await events.after(conn, 0, 1000, order_id=ORDER_ID)
        assert [e.type for e in logged] == [e.type for c in story.steps for e in c.events]


async def test_every_field_of_an_order_comes_back_equal(db: Database) -> None:
    story = reach(OrderState.PENDING_MANUAL)
    shipment = Shipment("6A1", "Colissimo", "Poste", (ShippedItem(1, 2),), NOW)
    relay = Relay("1", "A2P", "Tabac", "1 rue", "Paris", "75001", "FR")
    order = replace(
        story.order,
        facts=replace(story.order.facts, relay=relay, total=None, modified_at=None),
        touched_by="ada",
        store_order_id="S-1",
        acknowledged_at=NOW,
        published_at=NOW + HOUR,
        known_at=NOW + 2 * HOUR,
        shipments=(shipment,),
        problem=Problem("rejected", "no", "accept", NOW),
    )
    await store(db, replace(story.last, order=order))
    assert await locked(db) == order


async def test_nothing_is_written_for_an_untouched_order(db: Database) -> None:
    await store(db, replace(first_seen("1"), touched=False))
    async with db.connection() as conn:
        assert await orders.find(conn, OrderId("1")) == []


async def test_an_order_created_twice_is_a_conflict_and_the_first_stays(db: Database) -> None:
    await store(db, first_seen("1"))
    with pytest.raises(Conflict):
        await store(db, first_seen("2"), first_seen("1"))
    async with db.connection() as conn:
        assert len(await orders.find(conn, OrderId("1"))) == 1
        assert await orders.find(conn, OrderId("2")) == []


async def test_of_two_replicas_that_see_an_order_first_one_wins(db: Database) -> None:
    batches = [[first_seen(f"{n}") for n in numbers] for numbers in (range(50), range(49, -1, -1))]
    results = await asyncio.gather(*(store(db, *b) for b in batches), return_exceptions=True)
    assert [type(result) for result in results if result] == [Conflict]
    async with db.connection() as conn:
        assert await orders.counts(conn) == {(SHOES, OrderState.NEW): 50}


async def test_one_id_in_two_connections_is_two_orders(db: Database) -> None:
    await store(db, first_seen("1"))
    await store(db, first_seen("1", "shoes-de"), connection="shoes-de")
    async with db.connection() as conn:
        found = await orders.find(conn, OrderId("1"))
        assert [order.connection for order in found] == ["shoes-de", SHOES]
        assert await orders.find(conn, OrderId("1"), SHOES) == [found[1]]


async def test_a_lock_waits_and_then_sees_all_that_the_other_step_wrote(db: Database) -> None:
    story = reach(OrderState.PENDING_MANUAL)
    await store(db, story.last)
    story.does(CancelOrder("ada", None))
    assert story.order.waits_for(ActionKind.CANCEL)
    async with db.transaction() as tx:
        await orders.lock(tx, SHOES, [ORDER_ID])
        other = asyncio.create_task(locked(db))
        await eventually(lambda: waits_for_a_lock(db))
        await orders.record(tx, story.settings, [story.last], {})
    assert await other == story.order


async def test_fingerprints_stay_until_given_and_quarantine_goes_first(db: Database) -> None:
    seen = first_seen("1")
    async with db.transaction() as tx:
        await orders.record(tx, settings(), [seen], {OrderId("1"): b"one"})
        await orders.record(tx, settings(), [replace(seen, created=False)], {})
        assert await orders.fingerprints(tx, SHOES, [OrderId("1"), OrderId("2")]) == {"1": b"one"}
        await orders.keep_fingerprints(tx, SHOES, {OrderId("1"): b"two"})
        assert await orders.fingerprints(tx, SHOES, [OrderId("1")]) == {"1": b"two"}
        await quarantine.put(tx, SHOES, "1", b"bad", b"<order>", "no id", NOW)
        await quarantine.put(tx, SHOES, "2", b"bad", b"<order>", "no id", NOW)
        both = [OrderId("1"), OrderId("2")]
        assert await orders.fingerprints(tx, SHOES, both) == {"1": b"bad", "2": b"bad"}
        await quarantine.reopen(tx, SHOES, "2")
        assert await orders.fingerprints(tx, SHOES, both) == {"1": b"bad"}


async def test_the_oldest_open_order_is_the_oldest_that_can_still_change(db: Database) -> None:
    shipped = first_seen("1", purchased_at=NOW - 3 * HOUR)
    shipped = replace(shipped, order=replace(shipped.order, state=OrderState.SHIPPED))
    await store(db, shipped, first_seen("2", purchased_at=NOW), first_seen("3"))
    async with db.connection() as conn:
        oldest = marketplace_order().purchased_at
        assert await orders.oldest_open(conn, SHOES, 9) == [("3", oldest), ("2", NOW)]
        assert await orders.oldest_open(conn, SHOES, 1) == [("3", oldest)]
        assert await orders.oldest_open(conn, ConnectionId("none"), 9) == []


async def test_actions_of_a_step_are_queued_once_and_settled(db: Database) -> None:
    story = Story(product()).seen()
    await store(db, story.last)
    async with db.connection() as conn:
        (accept,) = await actions.find(conn, SHOES, ORDER_ID)
        assert (accept.kind, accept.status) == (ActionKind.ACCEPT, ActionStatus.PENDING)
    story.carried_out(ActionKind.ACCEPT)
    await store(db, story.last)
    async with db.connection() as conn:
        (accept,) = await actions.find(conn, SHOES, ORDER_ID)
        assert accept.status is ActionStatus.DONE
        assert accept.settled_at is not None


async def reserved(db: Database) -> tuple[int, int]:
    """What the product says is reserved, and the sum of its reservations."""
    async with db.transaction() as tx:
        (held,) = await catalog.matching(tx, DEFAULT, "id", ["10001"], [], lock=False)
        rows = await catalog.live_reservations(tx, DEFAULT, [held.id])
    return held.reserved, sum(row.quantity for row in rows)


async def test_reserved_units_are_counted_and_given_back(db: Database) -> None:
    async with db.transaction() as tx:
        await write_products(tx)
        await catalog.take_changes(tx, 10)
    story = Story(product()).seen(line(quantity=2), line(2, quantity=1))
    await store(db, story.last)
    assert await reserved(db) == (3, 3)
    async with db.transaction() as tx:
        assert await catalog.take_changes(tx, 10) == []
    story.seen(status=41)
    await store(db, story.last)
    assert await reserved(db) == (0, 0)
    async with db.transaction() as tx:
        assert await catalog.take_changes(tx, 10) == [ProductChange(DEFAULT, product().id)]


async def test_units_the_store_has_counted_are_not_given_back_twice(db: Database) -> None:
    async with db.transaction() as tx:
        await write_products(tx)
    story = Story(product()).seen()
    await store(db, story.last)
    async with db.transaction() as tx:
        held = await catalog.lock(tx, DEFAULT, [product().id])
        rows = await catalog.live_reservations(tx, DEFAULT, held)
        await catalog.write(tx, [replace(held[product().id], reserved=0)], rows, NOW)
    story.seen(status=41)  # still believes it holds one
    assert story.last.reserved
    await store(db, story.last)
    assert await reserved(db) == (0, 0)


async def test_only_what_was_still_reserved_is_given_back(db: Database) -> None:
    async with db.transaction() as tx:
        await write_products(tx)
    story = Story(product()).seen(line(quantity=2))
    await store(db, story.last)
    more = replace(story.last, created=False, reserved={product().id: -3}, events=(), history=())
    await store(db, more)
    assert await reserved(db) == (0, 0)


async def test_an_acknowledged_order_is_known_to_the_store_since_then(db: Database) -> None:
    async with db.transaction() as tx:
        await write_products(tx)
    story = reach(OrderState.SYNCED)
    story.does(AcknowledgeOrder("store", "S-1"))
    for changes in story.steps:
        await store(db, changes)
    async with db.connection() as conn:
        (row,) = await catalog.live_reservations(conn, DEFAULT, [product().id])
    assert story.order.known_at is not None
    assert row.known_at == story.order.known_at


async def numbered(db: Database, ids: Sequence[int]) -> None:
    """Orders of two connections, several to a moment."""
    for connection in ("shoes-fr", "shoes-de"):
        await add_connection(db, settings(id=connection))
        changes = [
            first_seen(f"{n:04}", connection, purchased_at=NOW + (n // 3) * HOUR) for n in ids
        ]
        await store(db, *changes, connection=connection)


async def test_pages_hold_every_order_once_newest_first(db: Database) -> None:
    await numbered(db, range(40))
    seen, cursor = [], None
    async with db.connection() as conn:
        while True:
            items, cursor = await orders.page(conn, limit=7, cursor=cursor)
            assert len(items) == 7 or cursor is None
            seen += [(o.facts.purchased_at, o.id, o.connection) for o in items]
            if len(seen) == 7:  # newer orders meanwhile do not move the pages that follow
                await store(db, first_seen("new", purchased_at=NOW + 1000 * HOUR))
            if cursor is None:
                break
    assert len(seen) == len(set(seen)) == 80
    assert seen == sorted(seen, key=lambda key: (-key[0].timestamp(), key[1], key[2]))


async def test_pages_are_filtered(db: Database) -> None:
    await numbered(db, range(6))
    problem = first_seen("AB12", purchased_at=NOW)
    order = replace(
        problem.order,
        state=OrderState.PENDING_MANUAL,
        problem=Problem("rejected", "no", None, NOW),
        store_order_id="S-9",
    )
    await store(db, replace(problem, order=order))

    async def ids(**filters: object) -> list[str]:
        async with db.connection() as conn:
            items, _ = await orders.page(conn, **filters)  # type: ignore[arg-type]  # any filter
        return [item.id for item in items]

    assert await ids(attention=True) == ["AB12"]
    assert len(await ids(attention=False)) == 12
    assert await ids(state=OrderState.PENDING_MANUAL) == ["AB12"]
    assert await ids(connection=ConnectionId("shoes-de"), limit=2) == ["0003", "0004"]
    assert await ids(since=NOW + HOUR, connection=SHOES) == ["0003", "0004", "0005"]
    assert await ids(until=NOW, connection=SHOES) == []
    for text in ("ab1", "AB12", "S-9"):
        assert await ids(text=text) == ["AB12"]
    for text in ("ADA", "example.org", "10001"):
        assert len(await ids(text=text)) == 13
    assert await ids(text="first_name") == []


async def test_orders_are_found_by_words_whatever_case_and_accents(db: Database) -> None:
    for shop in ("shoes-fr", "shoes-de"):
        await add_connection(db, settings(id=shop))
    customers = {
        "0001": Customer("Zoé", "Müller-Dupont", "", "zoe@example.org"),
        "0002": Customer("Li", "Wei", "Bücher & Söhne", "li.wei@example.com"),
        "0003": Customer("Dupond", "Zoltan", "", ""),
    }
    for number, (order_id, customer) in enumerate(customers.items()):
        placed = NOW - number * HOUR
        story = Story(auto_accept=False).seen(
            order_id=OrderId(order_id), customer=customer, purchased_at=placed
        )
        await store(db, story.last)

    async def ids(text: str, **filters: object) -> list[str]:
        async with db.connection() as conn:
            items, _ = await orders.page(conn, text=text, **filters)  # type: ignore[arg-type]  # any
        return [item.id[-1] for item in items]

    assert await ids("ZOE") == ["1"]
    assert await ids("dupon") == ["1", "3"]
    assert await ids("zo dup") == []
    assert await ids("zoe dup") == ["1"]
    assert await ids("dupont zoe") == ["1"]
    assert await ids("müller-dup") == ["1"]
    assert await ids("buecher") == []
    assert await ids("bucher sohne") == ["2"]
    assert await ids("li") == ["2"]
    assert await ids("wei li") == ["2"]
    assert await ids("li.wei@exam") == ["2"]
    assert await ids("example.com") == ["2"]
    assert await ids("'; drop table orders --") == []
    assert await ids("\\ | & ! <-> :*") == []
    assert await ids("  ") == ["1", "2", "3"]
    assert await ids("dupon", connection=ConnectionId("shoes-de")) == []
    assert await ids("dupon", state=OrderState.SHIPPED) == []
    assert await ids("dupon", since=NOW) == ["1"]
    async with db.connection() as conn:
        first = await orders.page(conn, text="dupon", limit=1)
        second = await orders.page(conn, text="dupon", limit=1, cursor=first.next_cursor)
    assert ([o.id for o in first.items], [o.id for o in second.items]) == (["0001"], ["0003"])
    assert second.next_cursor is None


async def test_what_an_order_is_found_by_follows_it(db: Database) -> None:
    await add_connection(db, settings())
    story = Story(auto_accept=False).seen(customer=Customer(last_name="Before"))
    await store(db, story.last)
    story.seen(customer=Customer(last_name="After"))
    await store(db, story.last)
    async with db.connection() as conn:
        assert (await orders.page(conn, text="before")).items == []
        assert len((await orders.page(conn, text="after")).items) == 1


@pytest.mark.parametrize("cursor", ["", "x", "bm9uc2Vuc2U", "WzFd", "é"])
async def test_a_made_up_cursor_is_refused(db: Database, cursor: str) -> None:
    async with db.connection() as conn:
        with pytest.raises(BadCursor):
            await orders.page(conn, cursor=cursor)


async def test_counts_and_the_longest_wait(db: Database) -> None:
    story = reach(OrderState.PENDING_MANUAL)
    await store(db, story.last, first_seen("1"), first_seen("2"))
    async with db.connection() as conn:
        assert await orders.counts(conn) == {
            (SHOES, OrderState.NEW): 2,
            (SHOES, OrderState.PENDING_MANUAL): 1,
        }
        assert await orders.oldest_pending(conn) == {SHOES: story.order.first_seen_at}


async def test_a_batch_of_many_orders_is_one_write(db: Database) -> None:
    many = [first_seen(f"{n:05}") for n in range(500)]
    await store(db, *many)
    async with db.transaction() as tx:
        found = await orders.lock(tx, SHOES, [change.order.id for change in many])
    assert found == {change.order.id: change.order for change in many}


async def store_and_fail(db: Database, story: Story) -> None:
    async with db.transaction() as tx:
        await orders.record(tx, story.settings, [story.last], {})
        raise ZeroDivisionError


async def test_events_are_in_the_log_with_the_order_or_not_at_all(db: Database) -> None:
    story = Story(product()).seen()
    with pytest.raises(ZeroDivisionError):
        await store_and_fail(db, story)
    async with db.connection() as conn:
        assert await events.after(conn, 0, 10) == []
        assert await orders.find(conn, ORDER_ID) == []
    await store(db, story.last)
    async with db.connection() as conn:
        first, *_ = await events.after(conn, 0, 10)
    assert (first.type, first.sequence) == (EventType.ORDER_NEW, 1)
