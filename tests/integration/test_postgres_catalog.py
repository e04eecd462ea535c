"""Products: found by any identifying value, written by one at a time, waking who waits for them."""

import asyncio
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from adapters.postgres import catalog, orders
from adapters.postgres.catalog import ProductChange
from adapters.postgres.database import Database
from daemon.products import upsert_products
from statemachine.changes import Changes
from statemachine.model import (
    CatalogId,
    ConnectionId,
    Order,
    OrderId,
    OrderState,
    Product,
    ProductId,
    ProductUpdate,
)
from tests.fixtures.postgres import add_connection
from tests.unit.builders import HOUR, NOW, line, marketplace_order, product, settings

DEFAULT = CatalogId("default")
OTHER = CatalogId("other")


async def write(db: Database, *products: Product) -> None:
    async with db.transaction() as tx:
        await catalog.lock(tx, products[0].catalog, [p.id for p in products])
        await catalog.write(tx, products, [], NOW)


async def test_a_product_comes_back_equal(db: Database) -> None:
    full = product(
        "A1",
        sku="S",
        ean="400",
        name="Boot",
        stock=3,
        reserved=1,
        price_final_incl_tax=Decimal("64.990"),
        price_original_incl_tax=None,
        currency="EUR",
        attributes={"color": "dark red", "size": "38"},
    )
    bare = Product(DEFAULT, ProductId("B"))
    await write(db, full, bare)
    async with db.transaction() as tx:
        assert await catalog.lock(tx, DEFAULT, [full.id, bare.id, ProductId("?")]) == {
            "A1": full,
            "B": bare,
        }
        assert await catalog.lock(tx, OTHER, [full.id]) == {}


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize(
    ("attribute", "value"),
    [("id", "A"), ("sku", "SKU-A"), ("ean", "400"), ("color", "red"), ("odd 'name", "x")],
)
async def test_products_are_found_by_their_identifying_value(
    db: Database, attribute: str, value: str, lock: bool
) -> None:
    found = product("A", sku="SKU-A", ean="400", attributes={"color": "red", "odd 'name": "x"})
    other = product("B", sku="SKU-B", ean="401", attributes={"color": "blue", "shade": "red"})
    await write(db, found, other)
    await write(db, replace(found, catalog=OTHER))
    async with db.transaction() as tx:
        values = [value, "nothing"]
        assert await catalog.matching(tx, DEFAULT, attribute, values, [], lock=lock) == [found]
        both = await catalog.matching(tx, DEFAULT, attribute, values, [other.id], lock=lock)
        assert both == [found, other]
        assert await catalog.matching(tx, DEFAULT, attribute, [], [], lock=lock) == []


async def test_two_products_may_bear_one_value(db: Database) -> None:
    await write(db, product("A", ean="400"), product("B", ean="400"))
    async with db.connection() as conn:
        found = await catalog.matching(conn, DEFAULT, "ean", ["400"], [], lock=False)
    assert [p.id for p in found] == ["A", "B"]


async def test_two_that_bring_a_new_product_at_once_both_count(db: Database) -> None:
    updates = [
        ProductUpdate(ProductId("A"), stock=5, as_of=NOW),
        ProductUpdate(ProductId("A"), name="Boot"),
        ProductUpdate(ProductId("A"), ean="400"),
    ]

    async def bring(update: ProductUpdate) -> None:
        async with db.transaction() as tx:
            await upsert_products(tx, DEFAULT, [update], NOW)

    await asyncio.gather(*map(bring, updates))
    async with db.transaction() as tx:
        kept = (await catalog.lock(tx, DEFAULT, [ProductId("A")]))[ProductId("A")]
    assert (kept.stock, kept.name, kept.ean) == (5, "Boot", "400")


async def test_changed_products_are_taken_once_and_back_after_a_crash(db: Database) -> None:
    await write(db, *(product(f"{n}") for n in range(6)))
    async with db.connection() as one, db.connection() as two:
        first, second = one.transaction(), two.transaction()
        await first.start()
        await second.start()
        taken = await catalog.take_changes(one, 4)
        assert len(taken) == 4
        assert len(await catalog.take_changes(two, 4)) == 2
        await first.rollback()
        await second.commit()
    async with db.transaction() as tx:
        assert set(await catalog.take_changes(tx, 10)) == set(taken)


async def test_a_change_after_taking_is_not_lost(db: Database) -> None:
    await write(db, product("A"))
    async with db.transaction() as tx:
        assert await catalog.take_changes(tx, 10) == [ProductChange(DEFAULT, ProductId("A"))]
    await write(db, product("A", stock=9))
    async with db.transaction() as tx:
        assert await catalog.take_changes(tx, 10) == [ProductChange(DEFAULT, ProductId("A"))]


async def wait_for(
    db: Database,
    order_id: str,
    *references: str,
    connection: str = "shoes-fr",
    touched_by: str | None = None,
    purchased_at: datetime = NOW,
) -> None:
    lines = [line(n, reference) for n, reference in enumerate(references, 1)]
    lines.append(line(9, "", size_reference=references[0]))
    facts = marketplace_order(*lines, order_id=OrderId(order_id), purchased_at=purchased_at)
    order = Order(ConnectionId(connection), facts, OrderState.PENDING_MANUAL, NOW, NOW)
    order = replace(order, touched_by=touched_by)
    async with db.transaction() as tx:
        await orders.record(tx, settings(id=connection), [Changes(order, created=True)], {})


async def test_orders_that_wait_for_a_product_are_found(db: Database) -> None:
    await add_connection(db, settings())
    await add_connection(db, settings(id="by-color", product_id_attribute="color"))
    await add_connection(db, settings(id="by-ean", product_id_attribute="ean"))
    await add_connection(db, settings(id="by-hand", auto_accept=False))
    await add_connection(db, settings(id="elsewhere", catalog="other"))
    await write(db, product("A", ean="400", attributes={"color": "red"}), product("B"))
    await wait_for(db, "newer", "A", "X", purchased_at=NOW)
    await wait_for(db, "older", "X", "A", purchased_at=NOW - HOUR)
    await wait_for(db, "unlike", "AA", "X")
    await wait_for(db, "touched", "A", touched_by="ada")
    await wait_for(db, "red", "red", connection="by-color", purchased_at=NOW - 2 * HOUR)
    await wait_for(db, "id", "A", connection="by-color")
    await wait_for(db, "ean", "400", connection="by-ean", purchased_at=NOW - 3 * HOUR)
    await wait_for(db, "held", "A", connection="by-hand")
    await wait_for(db, "other", "A", connection="elsewhere")
    async with db.transaction() as tx:
        found = await catalog.waiting_for(tx, [ProductChange(DEFAULT, ProductId("A"))])
        assert found == [
            ("by-ean", "ean"),
            ("by-color", "red"),
            ("shoes-fr", "older"),
            ("by-hand", "held"),
            ("shoes-fr", "newer"),
        ]
        assert await catalog.waiting_for(tx, [ProductChange(DEFAULT, ProductId("B"))]) == []
        assert await catalog.waiting_for(tx, [ProductChange(OTHER, ProductId("A"))]) == []


async def test_orders_that_meant_a_product_by_a_value_it_gave_up_are_found(db: Database) -> None:
    await add_connection(db, settings(id="by-sku", product_id_attribute="sku"))
    await add_connection(db, settings(id="by-color", product_id_attribute="color"))
    before = product("A", sku="S-1", attributes={"color": "red"})
    await write(db, before)
    await wait_for(db, "sku", "S-1", connection="by-sku")
    await wait_for(db, "red", "red", connection="by-color", purchased_at=NOW - HOUR)
    after = product("A", sku="S-2", attributes={"color": "blue"})
    async with db.transaction() as tx:
        await catalog.take_changes(tx, 10)
        await catalog.write(tx, [after], [], NOW, {after.id: before})
        taken = await catalog.take_changes(tx, 10)
        found = await catalog.waiting_for(tx, taken)
    assert found == [("by-color", "red"), ("by-sku", "sku")]


async def test_an_order_that_waits_no_more_is_not_found(db: Database) -> None:
    await add_connection(db, settings())
    await write(db, product("A"))
    await wait_for(db, "1", "A")
    async with db.transaction() as tx:
        found = await orders.lock(tx, ConnectionId("shoes-fr"), [OrderId("1")])
        moved = replace(found[OrderId("1")], state=OrderState.CANCELLED)
        await orders.record(tx, settings(), [Changes(moved)], {})
        assert await catalog.waiting_for(tx, [ProductChange(DEFAULT, ProductId("A"))]) == []


async def test_pages_of_products(db: Database) -> None:
    await write(db, *(product(f"{n:02}", name="Boot" if n % 2 else "Shoe") for n in range(9)))
    async with db.connection() as conn:
        first, cursor = await catalog.page(conn, DEFAULT, limit=5)
        rest, end = await catalog.page(conn, DEFAULT, limit=5, cursor=cursor)
        assert [p.id for p in (*first, *rest)] == [f"{n:02}" for n in range(9)]
        assert end is None
        boots, _ = await catalog.page(conn, DEFAULT, text="boot")
        assert [p.id for p in boots] == ["01", "03", "05", "07"]


async def test_the_age_of_a_catalogue_is_its_newest_number(db: Database) -> None:
    await write(db, product("A", as_of=NOW - HOUR), product("B", as_of=NOW))
    await write(db, Product(OTHER, ProductId("A")))
    async with db.connection() as conn:
        assert await catalog.age(conn) == {DEFAULT: NOW, OTHER: None}
