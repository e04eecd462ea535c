"""A product that comes while an order that wants it is being stored decides the order again."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cryptography.fernet import Fernet, MultiFernet

from adapters.postgres import actions, connections
from adapters.postgres import orders as order_store
from adapters.postgres.database import Database
from daemon.metrics import Metrics
from daemon.products import upsert_products
from daemon.reviewer import Reviewer
from daemon.steps import take_steps
from statemachine.connection import ConnectionSettings
from statemachine.facts import Seen
from statemachine.model import ActionKind, CatalogId, ConnectionId, ProductId, ProductUpdate
from tests.fixtures.postgres import add_connection, eventually, waits_for_a_lock
from tests.unit.builders import ORDER_ID, marketplace_order

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = ConnectionSettings(id="shoes", active=True, auto_accept=True)
BOOT = ProductUpdate(ProductId("10001"), stock=5, price_final_incl_tax=Decimal("64.99"))


async def test_an_order_stored_while_its_product_comes_is_decided_again(db: Database) -> None:
    async with db.transaction() as tx:
        cipher = MultiFernet([Fernet(Fernet.generate_key())])
        await connections.add(tx, cipher, SETTINGS, None, NOW)
    looked, written = asyncio.Event(), asyncio.Event()

    async def store_order() -> None:
        async with db.transaction() as tx:
            await take_steps(tx, SETTINGS, {ORDER_ID: Seen(marketplace_order(), NOW)}, NOW)
            looked.set()
            # the product's writer waits for this transaction; without that it would be done
            with_limit = asyncio.wait_for(written.wait(), 0.5)
            await asyncio.gather(with_limit, return_exceptions=True)

    async def write_product() -> None:
        await looked.wait()
        async with db.transaction() as tx:
            await upsert_products(tx, CatalogId("default"), [BOOT], NOW + timedelta(seconds=1))
        await reviewer.review()
        written.set()

    reviewer = Reviewer(db, Metrics(), lambda: NOW + timedelta(seconds=2))
    await asyncio.gather(store_order(), write_product())
    async with db.connection() as conn:
        found = await actions.find(conn, ConnectionId("shoes"), ORDER_ID)
    assert [action.kind for action in found] == [ActionKind.ACCEPT]


async def test_no_order_is_locked_after_another_connections_products(db: Database) -> None:
    """Else a step of that order, which holds it and now wants its product, would wait for ever."""
    one, other = (SETTINGS.model_copy(update={"id": name}) for name in ("one", "other"))
    for settings in (one, other):
        await add_connection(db, settings)
        async with db.transaction() as tx:
            await take_steps(tx, settings, {ORDER_ID: Seen(marketplace_order(), NOW)}, NOW)
    async with db.transaction() as tx:
        await upsert_products(tx, CatalogId("default"), [BOOT], NOW)

    reviewer = Reviewer(db, Metrics(), lambda: NOW)
    async with db.transaction() as tx:
        await order_store.lock(tx, ConnectionId("other"), [ORDER_ID])
        reviewing = asyncio.create_task(reviewer.review())
        await eventually(lambda: waits_for_a_lock(db))
        await tx.execute("select from products for update nowait")
    assert await reviewing
    async with db.connection() as conn:
        decided = [await actions.find(conn, ConnectionId(s.id), ORDER_ID) for s in (one, other)]
    assert all(decided)
