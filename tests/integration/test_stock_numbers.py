"""The store's numbers come in whatever is being stored, and many in one transaction."""

import asyncio

from adapters.postgres import catalog
from adapters.postgres.database import Database
from daemon.command_messages import StockSet
from daemon.commands import CommandDesk
from daemon.metrics import Metrics
from daemon.products import upsert_products
from daemon.settings import Plan
from statemachine.model import CatalogId, ProductId, ProductUpdate
from tests.fixtures.postgres import eventually, waits_for_a_lock
from tests.unit.builders import NOW

DEFAULT = CatalogId("default")
MANY = 10


async def fill(db: Database) -> CommandDesk:
    """Two products, A and B."""
    updates = [ProductUpdate(ProductId(name), stock=1) for name in ("A", "B")]
    async with db.transaction() as tx:
        await upsert_products(tx, DEFAULT, updates, NOW)
    return CommandDesk(db, Plan(), Metrics(), lambda: NOW)


def number(units: int, product: str = "A") -> StockSet:
    command = {"command": "stock.set", "id": f"n-{product}-{units}", "by": "store"}
    return StockSet.model_validate(command | {"product_id": product, "stock": units})


async def test_numbers_that_wait_are_stored_in_one_transaction(db: Database) -> None:
    desk = await fill(db)
    async with db.transaction() as order:
        await catalog.matching(order, DEFAULT, "id", ["A"], [], lock=True)
        waiting = [asyncio.create_task(desk.carry_out(number(units))) for units in range(MANY)]
        await eventually(lambda: waits_for_a_lock(db))
    replies = await asyncio.gather(*waiting)
    assert [reply.status for reply in replies] == ["done"] * MANY
    async with db.connection() as conn:
        assert await conn.fetchval("select count(distinct xmin::text) from commands") <= 2
        assert await conn.fetchval("select stock from products where id = 'A'") == MANY - 1


async def test_the_number_of_one_product_waits_for_no_order_of_another(db: Database) -> None:
    desk = await fill(db)
    async with db.transaction() as order, asyncio.timeout(10):
        await catalog.matching(order, DEFAULT, "id", ["A"], [], lock=True)
        assert (await desk.carry_out(number(7, "B"))).status == "done"
