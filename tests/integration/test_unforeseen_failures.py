"""What nobody foresaw holds up its own work, is logged, and never ends a task of the daemon."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Generic, TypeVar

from structlog.testing import capture_logs

from adapters.ports import CommandMessage, LoggedEvent
from adapters.postgres import events, quarantine
from adapters.postgres import orders as order_store
from adapters.postgres import returns as return_store
from adapters.postgres.database import Database
from daemon.command_reader import CommandReader
from daemon.commands import CommandDesk
from daemon.gauges import Gauges
from daemon.holdings import Holdings
from daemon.ingest import OrderIntake
from daemon.intake import Reading
from daemon.metrics import Metrics
from daemon.products import upsert_products
from daemon.relay import Relay
from daemon.return_ingest import ReturnIntake
from daemon.reviewer import Reviewer
from daemon.settings import Plan
from daemon.steps import take_steps
from statemachine.facts import Seen
from statemachine.model import (
    CatalogId,
    ConnectionId,
    OrderId,
    ProductId,
    ProductUpdate,
    ReturnId,
)
from tests.fixtures.postgres import add_connection, eventually, may_stand_idle
from tests.fixtures.tasks import running
from tests.integration.test_reading_commands import Message, Source
from tests.unit.builders import (
    NOW,
    ORDER_ID,
    line,
    marketplace_order,
    marketplace_return,
    settings,
)

Read = TypeVar("Read")


def now() -> datetime:
    return datetime.now(UTC)


class FailsOnce:
    """An EventPublisher that cannot write its first window."""

    def __init__(self) -> None:
        self.published: list[LoggedEvent] = []
        self.failed = False

    async def publish(self, window: Sequence[LoggedEvent]) -> Sequence[str | None]:
        if not self.failed:
            self.failed = True
            raise TypeError("string exceeds maximum length of 255 bytes")
        self.published += window
        return [None for _ in window]


class FailsFirst(Source):
    """A CommandSource that cannot be read the first time."""

    failed = False

    async def commands(self) -> AsyncGenerator[CommandMessage]:
        if not self.failed:
            self.failed = True
            raise TypeError("a delivery without properties")
        async for message in super().commands():
            yield message


async def store_an_order(db: Database, **given: object) -> None:
    await add_connection(db, settings(**given))
    async with db.transaction() as tx:
        await take_steps(tx, settings(**given), {ORDER_ID: Seen(marketplace_order(), NOW)}, NOW)


async def test_the_relay_goes_on_after_an_event_that_cannot_be_written(db: Database) -> None:
    await store_an_order(db)
    metrics, publisher = Metrics(), FailsOnce()
    holdings = Holdings(db, metrics)
    relay = Relay(db, publisher, holdings, metrics, now)

    async def published() -> bool:
        async with db.connection() as conn:
            return bool(publisher.published) and (await events.backlog(conn))[0] == 0

    with capture_logs() as logs:
        async with running(relay.run, holdings):
            await eventually(published)
    assert [entry["log_level"] for entry in logs if entry["event"] == "relay failed"] == ["error"]


async def test_commands_are_read_on_after_a_delivery_nobody_foresaw(db: Database) -> None:
    metrics = Metrics()
    holdings = Holdings(db, metrics)
    message = Message(b'{"id":"1","command":"stock.set","product_id":"A","stock":1}')
    desk = CommandDesk(db, Plan(), metrics, now)
    reader = CommandReader(FailsFirst(message), desk, holdings, metrics)

    async def answered() -> bool:
        return message.outcomes == ["answered"]

    with capture_logs() as logs:
        async with running(reader.run, holdings):
            await eventually(answered)
    assert [entry["log_level"] for entry in logs if entry["event"] == "commands failed"] == [
        "error"
    ]


async def test_figures_that_cannot_be_told_end_nothing(db: Database) -> None:
    await store_an_order(db)
    async with db.connection() as conn:
        await conn.execute("""update connections set settings = '{"price_threshold": "much"}'""")
    metrics = Metrics()

    with capture_logs() as logs:

        async def failed() -> bool:
            told = metrics.registry.get_sample_value("spartoo_sync_outbox_pending") == 2
            return told and any(entry["event"] == "gauges failed" for entry in logs)

        async with running(Gauges(db, metrics, now).run):
            await eventually(failed)


async def test_the_reviewer_outlives_a_product_it_cannot_decide_on(db: Database) -> None:
    await store_an_order(db, auto_accept=True)
    boot = ProductUpdate(ProductId("10001"), stock=5, price_final_incl_tax=Decimal("64.99"))
    async with db.transaction() as tx:
        await upsert_products(tx, CatalogId("default"), [boot], NOW)
        await tx.execute("update products set price_final_incl_tax = 'NaN'")

    with capture_logs() as logs:

        async def failed() -> bool:
            return any(entry["event"] == "orders not decided again" for entry in logs)

        async with running(Reviewer(db, Metrics(), now).run):
            await eventually(failed)


async def test_figures_that_take_long_do_not_hold_up_the_alarms(db: Database) -> None:
    await store_an_order(db)
    metrics = Metrics()

    async def told() -> bool:
        return metrics.registry.get_sample_value("spartoo_sync_outbox_pending") == 2

    async with db.connection() as conn:
        locking = conn.transaction()
        await locking.start()
        await may_stand_idle(conn)
        await conn.execute("lock table orders")
        async with running(Gauges(db, metrics, now).run):
            await eventually(told)
            await locking.rollback()


@dataclass(frozen=True)
class Exported(Generic[Read]):
    """A ports.Exported that reads as what is given."""

    id: str
    found: Read
    xml: bytes = b"<found/>"

    @property
    def fingerprint(self) -> bytes:
        return self.id.encode().ljust(16)

    def read(self) -> Read:
        return self.found


async def test_an_order_that_cannot_be_stored_holds_up_none_of_its_batch(db: Database) -> None:
    await add_connection(db, settings())
    async with db.transaction() as tx:
        await upsert_products(tx, CatalogId("default"), [ProductUpdate(ProductId("10001"))], NOW)
    first, bad, last = (OrderId(name) for name in ("A", "B", "C"))
    too_many = tuple(line(number, quantity=999_999_999) for number in (1, 2, 3))
    batch = [
        Exported(first, marketplace_order(order_id=first)),
        Exported(bad, marketplace_order(*too_many, order_id=bad, status=2)),
        Exported(last, marketplace_order(order_id=last)),
    ]
    intake = OrderIntake(db, Reading(settings(), NOW), Metrics(), now)
    with capture_logs() as logs:
        await intake.take(batch)
    async with db.connection() as conn:
        stored = await order_store.fingerprints(conn, ConnectionId("shoes-fr"), [first, bad, last])
        (held,) = await quarantine.get(conn, bad)
        orders = await conn.fetch("select order_id from orders order by order_id")
    assert [row["order_id"] for row in orders] == [first, last]
    assert stored.keys() == {first, bad, last}
    assert held.error == "DataError in the daemon, see its log"
    assert (intake.tally.new, intake.tally.quarantined) == (2, 1)
    assert "orders stored one by one" in [entry["event"] for entry in logs]


async def test_a_return_that_cannot_be_stored_holds_up_none_of_its_batch(db: Database) -> None:
    await add_connection(db, settings())
    first, bad, last = (ReturnId(name) for name in ("A", "B", "C"))
    batch = [
        Exported(first, marketplace_return(return_id=first)),
        Exported(bad, marketplace_return(return_id=bad, order_id=OrderId("\x00"))),
        Exported(last, marketplace_return(return_id=last)),
    ]
    intake = ReturnIntake(db, Reading(settings(), NOW), Metrics(), now)
    with capture_logs() as logs:
        await intake.take(batch)
    async with db.connection() as conn:
        (held,) = await quarantine.get(conn, return_store.quarantine_key(bad))
        returns = await conn.fetch("select return_id from returns order by return_id")
    assert [row["return_id"] for row in returns] == [first, last]
    assert held.error == "CharacterNotInRepertoireError in the daemon, see its log"
    assert (intake.tally.new, intake.tally.quarantined) == (2, 1)
    assert "returns stored one by one" in [entry["event"] for entry in logs]
