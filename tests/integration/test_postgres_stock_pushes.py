"""What is to be told of the stock: marked where it moves, told once, kept with its answer."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from adapters.postgres import catalog, connections, orders, stock_pushes
from adapters.postgres.database import Database
from adapters.postgres.stock_pushes import Answer, DuePush, Told
from daemon.products import upsert_products
from statemachine.model import CatalogId, ConnectionId, ProductId, ProductUpdate
from tests.fixtures.postgres import CIPHER, add_connection
from tests.unit.builders import NOW, Story, line, product, settings

FR, DE = ConnectionId("shoes-fr"), ConnectionId("shoes-de")
DEFAULT = CatalogId("default")


@pytest.fixture
async def pushing(db: Database) -> Database:
    """A connection that pushes stock, one that does not, one of another catalogue."""
    await add_connection(db, settings(push_stock=True))
    await add_connection(db, settings(id="silent"))
    await add_connection(db, settings(id="elsewhere", catalog="other", push_stock=True))
    return db


async def stock(db: Database, moment: datetime = NOW, **levels: int) -> None:
    """The store's word, a number for each product."""
    updates = [ProductUpdate(ProductId(name), stock=units) for name, units in levels.items()]
    async with db.transaction() as tx:
        await upsert_products(tx, DEFAULT, updates, moment)


async def due(db: Database, connection: ConnectionId = FR) -> list[DuePush]:
    async with db.connection() as conn:
        return await stock_pushes.batch(conn, connection, DEFAULT, 500)


async def due_units(db: Database) -> dict[str, int]:
    return {push.product.id: push.product.available for push in await due(db)}


async def settle(db: Database, pushes: Iterable[DuePush], error: str | None = None) -> None:
    answers = [Answer(p, None if error else p.product.available, error) for p in pushes]
    async with db.transaction() as tx:
        await stock_pushes.settle(tx, FR, DEFAULT, answers)


async def told(db: Database, *ids: str) -> list[Told]:
    async with db.connection() as conn:
        return await stock_pushes.told(conn, DEFAULT, [ProductId(i) for i in ids])


async def change(db: Database, **given: Any) -> None:
    async with db.transaction() as tx:
        await connections.update(tx, CIPHER, settings(**given))


async def test_what_the_store_says_is_due_where_stock_is_pushed(pushing: Database) -> None:
    await stock(pushing, A=5, B=0)
    assert await due_units(pushing) == {"A": 5, "B": 0}
    async with pushing.connection() as conn:
        assert await stock_pushes.due(conn) == [(FR, "fr")]
        assert await stock_pushes.pending(conn) == {FR: 2}
        assert await conn.fetchval("select count(*) from stock_pushes") == 2


async def test_a_product_that_moves_often_is_told_once_as_it_stands(pushing: Database) -> None:
    for n in range(5):
        await stock(pushing, NOW + timedelta(seconds=n), A=n)
    (push,) = await due(pushing)
    assert (push.product.available, push.version) == (4, 5)
    await settle(pushing, [push])
    assert await due(pushing) == []
    (kept,) = await told(pushing, "A")
    assert (kept.sent, kept.error, kept.due_at) == (4, None, None)


async def test_what_moves_during_the_call_stays_due(pushing: Database) -> None:
    await stock(pushing, A=5, B=5)
    in_hand = await due(pushing)
    await stock(pushing, NOW + timedelta(seconds=1), A=3)
    await settle(pushing, in_hand)
    assert await due_units(pushing) == {"A": 3}
    assert [push.sent for push in await told(pushing, "A", "B")] == [5, 5]


async def test_what_the_marketplace_has_taken_is_not_told_again(pushing: Database) -> None:
    await stock(pushing, A=5)
    await settle(pushing, await due(pushing))
    await stock(pushing, NOW + timedelta(seconds=1), A=5)
    assert await due(pushing) == []


async def test_a_refusal_is_kept_and_tried_again_when_the_product_changes(
    pushing: Database,
) -> None:
    await stock(pushing, A=5)
    await settle(pushing, await due(pushing), "product not found (-14)")
    assert await due(pushing) == []
    (kept,) = await told(pushing, "A")
    assert (kept.sent, kept.error) == (None, "product not found (-14)")
    async with pushing.transaction() as tx:
        await upsert_products(tx, DEFAULT, [ProductUpdate(ProductId("A"), sku="S")], NOW)
    assert await due_units(pushing) == {"A": 5}


async def test_a_product_whose_stock_nobody_told_is_not_pushed(pushing: Database) -> None:
    async with pushing.transaction() as tx:
        await upsert_products(tx, DEFAULT, [ProductUpdate(ProductId("A"), name="Boot")], NOW)
        assert await stock_pushes.mark_all(tx) == {}
    assert await due(pushing) == []


async def test_orders_move_availability_and_show_the_reference(pushing: Database) -> None:
    await stock(pushing, A=5)
    await settle(pushing, await due(pushing))
    async with pushing.transaction() as tx:
        known = (await catalog.lock(tx, DEFAULT, [ProductId("A")]))[ProductId("A")]
    story = Story(product("A", stock=known.stock)).seen(
        line(1, "98", size_reference="A", quantity=2)
    )
    async with pushing.transaction() as tx:
        await orders.record(tx, settings(push_stock=True), story.steps, {})
    (push,) = await due(pushing)
    assert (push.product.available, push.reference) == (3, "98")
    await settle(pushing, [push])
    story.seen(status=41)
    async with pushing.transaction() as tx:
        await orders.record(tx, settings(push_stock=True), story.steps[1:], {})
    (push,) = await due(pushing)
    assert (push.product.available, push.reference) == (5, "98")


async def test_a_failed_call_is_tried_again_later_unless_the_product_moves(
    pushing: Database,
) -> None:
    await stock(pushing, A=5, B=5)
    in_hand = await due(pushing)
    await stock(pushing, NOW + timedelta(seconds=1), B=4)
    async with pushing.transaction() as tx:
        later = datetime.now(NOW.tzinfo) + timedelta(minutes=5)
        await stock_pushes.postpone(tx, FR, DEFAULT, in_hand, later, "no answer in time")
    assert await due_units(pushing) == {"B": 4}
    (kept, _) = await told(pushing, "A", "B")
    assert (kept.attempts, kept.error) == (1, "no answer in time")
    await stock(pushing, NOW + timedelta(seconds=2), A=4)
    assert await due_units(pushing) == {"A": 4, "B": 4}


async def test_reconciliation_marks_everything_of_one_or_all(pushing: Database) -> None:
    await stock(pushing, A=5, B=1)
    await settle(pushing, await due(pushing))
    async with pushing.transaction() as tx:
        assert await stock_pushes.mark_all(tx, ConnectionId("silent")) == {}
        assert await stock_pushes.mark_all(tx, FR) == {FR: 2}
    assert await due_units(pushing) == {"A": 5, "B": 1}
    await settle(pushing, await due(pushing))
    async with pushing.transaction() as tx:
        assert await stock_pushes.mark_all(tx) == {FR: 2}
    assert await due_units(pushing) == {"A": 5, "B": 1}


async def test_switching_it_on_tells_everything(db: Database) -> None:
    await add_connection(db, settings())
    await stock(db, A=5, B=1)
    assert await due(db) == []
    await change(db, push_stock=True)
    assert await due_units(db) == {"A": 5, "B": 1}
    await settle(db, await due(db))
    await change(db, push_stock=True, price_threshold="0.9")
    assert await due(db) == []
    await change(db, push_stock=True, product_id_attribute="sku")
    assert await due_units(db) == {"A": 5, "B": 1}
    await change(db, push_stock=True, catalog="other")
    async with db.connection() as conn:
        assert await stock_pushes.due(conn) == []
    await add_connection(db, settings(id=DE, push_stock=True))
    assert [push.product.id for push in await due(db, DE)] == ["A", "B"]


@pytest.mark.parametrize(
    "sql",
    [
        "update connections set active = false",
        "update connections set suspended_at = now()",
        "insert into rests values ('shoes-fr', 'xml_maj_stock_batch', now() + '1 hour', 60)",
    ],
)
async def test_a_connection_that_may_not_be_called_waits(pushing: Database, sql: str) -> None:
    await stock(pushing, A=5)
    async with pushing.connection() as conn:
        assert await stock_pushes.due(conn) == [(FR, "fr")]
        await conn.execute(sql)
        assert await stock_pushes.due(conn) == []
        assert await stock_pushes.pending(conn) == {FR: 1}
