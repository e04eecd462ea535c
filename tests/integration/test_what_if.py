"""What if, on the orders kept in a real database: the counts, the pages, and nothing changed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.postgres import kept_orders, orders
from adapters.postgres.database import Conn, Database
from daemon.products import upsert_products
from daemon.what_if import what_if, what_if_document
from statemachine.connection import PriceAttribute
from statemachine.model import CatalogId, OrderId, ProductId, ProductUpdate
from statemachine.what_if import Supposed, WhatIf
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, Story, line, product, settings

SETTINGS = settings()
DAY = timedelta(days=1)


async def fill(db: Database, *prices: str) -> None:
    """Orders of one product at 64.99, a minute apart, newest first."""
    await add_connection(db, SETTINGS)
    for number, price in enumerate(prices):
        placed = NOW - number * timedelta(minutes=1)
        story = Story(product()).seen(
            line(price=price), order_id=OrderId(f"A{number:03}"), purchased_at=placed
        )
        async with db.transaction() as tx:
            await orders.record(tx, SETTINGS, story.steps, {})


async def asked(db: Database, change: Supposed, since: datetime = NOW - DAY) -> WhatIf:
    async with db.connection() as conn:
        return await what_if(conn, SETTINGS, since, NOW + DAY, change)


async def contents(conn: Conn) -> list[str]:
    tables = [row[0] for row in await conn.fetch("select tablename from pg_tables")]
    ours = {"orders", "order_history", "events", "actions", "products", "reservations"}
    assert ours <= set(tables)
    return [str(await conn.fetch(f'select * from "{name}"')) for name in sorted(ours)]


async def test_another_threshold_over_several_pages(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_orders, "PAGE", 3)
    await fill(db, *["64.99", "60.00", "1.00"] * 4)
    async with db.connection() as conn:
        before = await contents(conn)
    found = await asked(db, Supposed(price_threshold=Decimal("0.9")))
    assert (found.orders, found.newly_accepted, found.newly_held) == (12, 4, 0)
    assert [d.order_id for d in found.differing] == ["A001", "A004", "A007", "A010"]
    since = NOW - timedelta(minutes=4)
    assert (await asked(db, Supposed(), since)).orders == 5
    async with db.connection() as conn:
        assert await contents(conn) == before


async def test_orders_placed_at_the_same_moment_are_counted_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_orders, "PAGE", 2)
    await fill(db, *["64.99"] * 7)
    async with db.connection() as conn:
        await conn.execute("update orders set purchased_at = $1", NOW)
    assert (await asked(db, Supposed())).orders == 7


async def test_another_price_attribute_reads_the_catalogue_as_it_is(db: Database) -> None:
    await fill(db, "64.99", "64.99")
    update = ProductUpdate(
        ProductId("10001"), price_original_incl_tax=Decimal("66.00"), stock=0, as_of=NOW
    )
    async with db.transaction() as tx:
        await upsert_products(tx, CatalogId("default"), [update], NOW)
    found = await asked(db, Supposed(price_attribute=PriceAttribute.ORIGINAL))
    assert (found.differ, found.outcomes.would_accept, found.at_present_prices) == (0, 2, 2)
    stricter = Supposed(price_attribute=PriceAttribute.ORIGINAL, price_threshold=Decimal(1))
    found = await asked(db, stricter)
    assert found.newly_held == 2
    figures = found.differing[0].would_be.checks[-1].detail
    assert figures == "64.99 < 1 × 66.00 = 66.00"


async def test_the_document_says_all_of_it(db: Database) -> None:
    await fill(db, "64.99", "60.00")
    found = await asked(db, Supposed(price_threshold=Decimal("0.9")))
    document = what_if_document(found, SETTINGS.id, (NOW - DAY, NOW))
    assert document["supposed"] == {
        "auto_accept": None,
        "price_attribute": None,
        "price_threshold": "0.9",
    }
    assert document["was"] == {"accept": 1, "hold": 1}
    assert document["would_be"] == {"accept": 2, "hold": 0}
    assert document["by_day"] == [
        {
            "day": datetime(2026, 11, 20, tzinfo=UTC).date(),
            "decided": 2,
            "was": {"accept": 1, "hold": 1},
            "would_be": {"accept": 2, "hold": 0},
        }
    ]
    assert document["by_reason"] == {"price_below_threshold": {"was": 1, "would_be": 0}}
    (one,) = document["differing"]
    assert (one["order_id"], one["was"]["outcome"], one["would_be"]["outcome"]) == (
        ("A001", "hold", "accept")
    )
