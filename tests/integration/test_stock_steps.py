"""Steps and reviews beside other writers: stock numbers, catalogs and settings that change."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from adapters.postgres import connections
from adapters.postgres.database import Database
from daemon.metrics import Metrics
from daemon.products import upsert_products
from daemon.reviewer import Reviewer
from daemon.steps import take_steps
from statemachine.changes import Changes
from statemachine.connection import ConnectionSettings
from statemachine.facts import (
    AcceptedPublished,
    AcknowledgeOrder,
    ActionCarriedOut,
    Fact,
    Seen,
)
from statemachine.model import ActionKind, CatalogId, OrderId, OrderState, ProductId, ProductUpdate
from tests.fixtures.postgres import (
    CIPHER,
    add_connection,
    eventually,
    may_stand_idle,
    waits_for_a_lock,
)
from tests.unit.builders import NOW, ORDER_ID, line, marketplace_order, settings

BOOT = ProductId("10001")
OTHER_ID = OrderId("FFFF5E96C3434E92")
PRICE = Decimal("64.99")


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def steps(
    db: Database, facts: Mapping[OrderId, Fact], now: datetime, conf: ConnectionSettings
) -> dict[OrderId, Changes]:
    async with db.transaction() as tx:
        stepped = await take_steps(tx, conf, facts, now)
    return {changes.order.id: changes for changes in stepped.changes}


async def put(
    db: Database, now: datetime, *updates: ProductUpdate, catalog: str = "default"
) -> None:
    async with db.transaction() as tx:
        await upsert_products(tx, CatalogId(catalog), updates, now)


async def stock_events(db: Database) -> list[tuple[str, int, int]]:
    """Source, delta and availability of every stock event."""
    async with db.connection() as conn:
        rows = await conn.fetch(
            "select source, data from events where type = 'stock.changed' order by position"
        )
    data = [(row["source"], orjson.loads(row["data"])) for row in rows]
    return [(source, each["delta"], each["available"]) for source, each in data]


async def row_of(db: Database, query: str) -> dict[str, Any]:
    async with db.connection() as conn:
        row = await conn.fetchrow(query)
    assert row is not None
    return dict(row)


async def review_all(db: Database) -> None:
    reviewer = Reviewer(db, Metrics(), lambda: at(60))
    while await reviewer.review():
        pass


async def test_units_that_a_stock_number_replaced_meanwhile_are_not_given_back_again(
    db: Database,
) -> None:
    conf = settings()
    await add_connection(db, conf)
    await put(db, at(0), ProductUpdate(BOOT, stock=5, price_final_incl_tax=PRICE))
    ours = marketplace_order(line(quantity=2))
    await steps(db, {ORDER_ID: Seen(ours, at(1))}, at(1), conf)
    await steps(db, {ORDER_ID: ActionCarriedOut(ActionKind.ACCEPT, "automatic")}, at(2), conf)
    await steps(db, {ORDER_ID: AcceptedPublished()}, at(3), conf)
    await steps(db, {ORDER_ID: AcknowledgeOrder("store", "S1")}, at(4), conf)
    told = len(await stock_events(db))
    batch = {
        ORDER_ID: Seen(marketplace_order(line(quantity=2), status=41), at(9)),
        OTHER_ID: Seen(marketplace_order(line(quantity=4), order_id=OTHER_ID), at(9)),
    }
    async with db.transaction() as tx:
        await may_stand_idle(tx)
        await upsert_products(tx, CatalogId("default"), [ProductUpdate(BOOT, stock=3)], at(10))
        look = asyncio.create_task(steps(db, batch, at(11), conf))
        await eventually(lambda: waits_for_a_lock(db))
    other = (await look)[OTHER_ID].order
    assert other.decision is not None
    assert other.decision.reasons == ("out_of_stock",)
    product = await row_of(db, "select stock, reserved from products")
    assert product == {"stock": 3, "reserved": 0}
    assert [delta for _, delta, _ in (await stock_events(db))[told:] if delta > 0] == []


async def test_a_step_holds_its_products_until_it_is_stored(db: Database) -> None:
    conf = settings()
    await add_connection(db, conf)
    await put(db, at(0), ProductUpdate(BOOT, stock=5, price_final_incl_tax=PRICE))
    async with db.transaction() as tx:
        await may_stand_idle(tx)
        await take_steps(tx, conf, {ORDER_ID: Seen(marketplace_order(), at(1))}, at(1))
        async with db.connection() as conn:
            free = await conn.fetch("select id from products for update skip locked")
    assert free == []


async def test_units_go_back_to_the_catalog_they_were_reserved_in(db: Database) -> None:
    here, there = settings(), settings(catalog="shop")
    await add_connection(db, here)
    await put(db, at(0), ProductUpdate(BOOT, stock=5, price_final_incl_tax=PRICE))
    await put(db, at(0), ProductUpdate(BOOT, stock=1, price_final_incl_tax=PRICE), catalog="shop")
    await steps(db, {ORDER_ID: Seen(marketplace_order(line(quantity=2)), at(1))}, at(1), here)
    batch = {
        ORDER_ID: Seen(marketplace_order(line(quantity=2), status=41), at(3)),
        OTHER_ID: Seen(marketplace_order(line(quantity=3), order_id=OTHER_ID), at(3)),
    }
    other = (await steps(db, batch, at(4), there))[OTHER_ID].order
    assert other.decision is not None
    assert other.decision.reasons == ("out_of_stock",)
    assert (await stock_events(db))[-1] == ("/spartoo/catalog/default", 2, 5)
    async with db.connection() as conn:
        rows = await conn.fetch("select catalog, reserved from products order by catalog")
    assert [tuple(row) for row in rows] == [("default", 0), ("shop", 0)]


async def test_an_order_held_for_two_products_is_accepted_once_one_gives_the_value_up(
    db: Database,
) -> None:
    conf = settings(product_id_attribute="ean")
    await add_connection(db, conf)
    first, second = ProductId("A"), ProductId("B")
    both = [
        ProductUpdate(product, ean="E1", stock=5, price_final_incl_tax=PRICE)
        for product in (first, second)
    ]
    await put(db, at(0), *both)
    order = marketplace_order(line(reference="E1"))
    held = (await steps(db, {ORDER_ID: Seen(order, at(1))}, at(1), conf))[ORDER_ID].order
    assert held.decision is not None
    assert held.decision.reasons == ("ambiguous_product",)
    await review_all(db)
    await put(db, at(2), ProductUpdate(second, ean="E2"))
    await review_all(db)
    action = await row_of(db, "select kind, status from actions")
    assert action == {"kind": "accept", "status": "pending"}


async def test_a_connection_that_cannot_be_read_holds_up_no_other(db: Database) -> None:
    for name in ("aaa", "bbb", "zzz"):
        conf = settings(id=name)
        await add_connection(db, conf)
        await steps(db, {ORDER_ID: Seen(marketplace_order(), at(1))}, at(1), conf)
    async with db.connection() as conn:
        await conn.execute(
            "update connections set settings = (settings::jsonb || $1)::json where id = 'aaa'",
            b'{"price_threshold": "unreadable"}',
        )
        await conn.execute(
            "update connections set settings = (settings::jsonb || $1)::json where id = 'bbb'",
            b'{"of_a_later_version": 1}',
        )
    await put(db, at(2), ProductUpdate(BOOT, stock=5, price_final_incl_tax=PRICE))
    await review_all(db)
    async with db.connection() as conn:
        accepted = await conn.fetch("select connection from actions order by connection")
        noted = await conn.fetch("select connection from settings_changes")
    assert [row["connection"] for row in accepted] == ["bbb", "zzz"]
    assert [row["connection"] for row in noted] == ["aaa"]


async def test_a_connection_that_is_stock_only_for_a_while_leaves_no_order_undecided(
    db: Database,
) -> None:
    conf = settings()
    await add_connection(db, conf)
    await put(db, at(0), ProductUpdate(BOOT, stock=5, price_final_incl_tax=PRICE))
    await steps(db, {ORDER_ID: Seen(marketplace_order(), at(1))}, at(1), conf)
    async with db.transaction() as tx:
        await connections.update(tx, CIPHER, settings(sync_level="stock_only"))
    await review_all(db)
    recorded = await row_of(db, "select state from orders")
    assert recorded == {"state": OrderState.SYNCED}
    async with db.transaction() as tx:
        await connections.update(tx, CIPHER, conf)
    await review_all(db)
    again = await row_of(
        db,
        "select o.state, a.status from orders as o"
        " join actions as a on a.connection = o.connection and a.order_id = o.order_id"
        " where a.kind = 'accept' order by a.id desc limit 1",
    )
    assert again == {"state": OrderState.NEW, "status": "pending"}
    held = await row_of(db, "select reserved from products")
    assert held == {"reserved": 1}
