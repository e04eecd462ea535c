"""`spartoo-sync catalog push`, and what `catalog show` says of what was told."""

from datetime import UTC, datetime

from adapters.postgres import stock_pushes
from adapters.postgres.database import Database
from adapters.postgres.stock_pushes import Answer
from daemon.products import upsert_products
from statemachine.model import CatalogId, ConnectionId, ProductId, ProductUpdate
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import add_connection
from tests.unit.builders import settings

FR, DEFAULT = ConnectionId("shoes-fr"), CatalogId("default")


async def stock(db: Database, **levels: int) -> None:
    updates = [ProductUpdate(ProductId(name), stock=units) for name, units in levels.items()]
    async with db.transaction() as tx:
        await upsert_products(tx, DEFAULT, updates, datetime.now(UTC))


async def settle(db: Database, error: str | None) -> None:
    async with db.transaction() as tx:
        due = await stock_pushes.batch(tx, FR, DEFAULT, 500)
        answers = [Answer(p, None if error else p.product.available, error) for p in due]
        await stock_pushes.settle(tx, FR, DEFAULT, answers)


async def test_push_marks_everything_again(cli: Cli, db: Database) -> None:
    await add_connection(db, settings(push_stock=True))
    await stock(db, A=1, B=2)
    await settle(db, None)
    ran = await cli("catalog", "push", "--json")
    assert (ran.status, ran.json) == (0, {"marked": {FR: 2}})
    assert "no daemon works" in ran.err
    await settle(db, None)
    told = await cli("catalog", "push", FR)
    assert "shoes-fr: 2 products are told next" in told.err
    async with db.connection() as conn:
        assert await stock_pushes.pending(conn) == {FR: 2}


async def test_push_where_stock_is_not_pushed_says_how_to_switch_it_on(
    cli: Cli, db: Database
) -> None:
    await add_connection(db, settings())
    await stock(db, A=1)
    ran = await cli("catalog", "push", FR, "--json")
    assert (ran.status, ran.error["code"]) == (1, "push_stock_off")
    assert "connections set shoes-fr push_stock=true" in ran.error["message"]
    assert (await cli("catalog", "push", "nobody", "--json")).error["code"] == "unknown_connection"
    nothing = await cli("catalog", "push")
    assert nothing.status == 0
    assert "nothing to tell" in nothing.err


async def test_show_tells_the_last_push(cli: Cli, db: Database) -> None:
    await add_connection(db, settings(push_stock=True))
    await stock(db, A=3)
    (waiting,) = (await cli("catalog", "show", "A", "--json")).json["items"]
    (push,) = waiting["pushes"]
    assert (push["connection"], push["sent"], push["error"]) == (FR, None, None)
    assert push["due_at"] is not None
    await settle(db, None)
    (kept,) = (await cli("catalog", "show", "A", "--json")).json["items"]
    assert (kept["pushes"][0]["sent"], kept["pushes"][0]["due_at"]) == (3, None)
    await stock(db, A=4)
    await settle(db, "product not found (-14)")
    text = (await cli("catalog", "show")).out
    assert "product not found (-14)" in text
    assert "told to the marketplace" in text
