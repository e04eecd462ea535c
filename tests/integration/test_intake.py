"""What stands in quarantine leaves it once it can be read, also what showed no id."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from adapters.postgres import events, quarantine
from adapters.postgres.database import Database
from adapters.spartoo import SpartooOrder, SpartooReturn
from daemon.ingest import OrderIntake
from daemon.intake import Reading
from daemon.metrics import Metrics
from daemon.return_ingest import ReturnIntake
from statemachine.changes import EventType
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, settings
from tests.unit.spartoo_exports import order

PARIS = ZoneInfo("Europe/Paris")
NO_ID, OTHER_WITHOUT_ID = "<order><orders_status_id>11</orders_status_id></order>", "<order/>"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


async def export(*xml: str) -> AsyncGenerator[SpartooOrder]:
    for one in xml:
        yield SpartooOrder.from_xml(one.encode(), PARIS, "EUR")


async def look(db: Database, *xml: str, at: int, hours: int = 1, **given: object) -> None:
    """A whole look at so many hours before NOW, carried out at minute `at`."""
    read_at = NOW + at * MINUTE
    reading = Reading(settings(**given), read_at, since=NOW - hours * HOUR)
    await OrderIntake(db, reading, Metrics(), lambda: read_at).stream(export(*xml))


async def held(db: Database) -> set[bytes]:
    async with db.connection() as conn:
        return {entry.xml for entry in (await quarantine.page(conn)).items}


@pytest.fixture(autouse=True)
async def connection(db: Database) -> None:
    await add_connection(db, settings())


@pytest.mark.parametrize(
    ("level", "told"), [("orders_and_stock", [EventType.ORDER_QUARANTINED]), ("stock_only", [])]
)
async def test_where_stock_alone_is_synchronized_no_order_event_tells_of_it(
    db: Database, level: str, told: list[EventType]
) -> None:
    await look(db, NO_ID, at=0, sync_level=level)
    assert await held(db) == {NO_ID.encode()}
    async with db.connection() as conn:
        assert [event.type for event in await events.after(conn, 0, 10)] == told


async def test_what_showed_no_id_leaves_once_a_whole_look_does_not_find_it(db: Database) -> None:
    await look(db, NO_ID, OTHER_WITHOUT_ID, at=0)
    assert await held(db) == {NO_ID.encode(), OTHER_WITHOUT_ID.encode()}
    await look(db, order("A1"), OTHER_WITHOUT_ID, at=1)
    assert await held(db) == {OTHER_WITHOUT_ID.encode()}
    await look(db, order("A1"), order("B2"), at=2, hours=2)
    assert await held(db) == set()


async def test_a_look_that_reaches_less_far_does_not_tell(db: Database) -> None:
    await look(db, NO_ID, at=0, hours=2)
    await look(db, order("A1"), at=1, hours=1)
    assert await held(db) == {NO_ID.encode()}


async def test_a_look_that_began_before_it_was_found_does_not_tell(db: Database) -> None:
    await look(db, NO_ID, at=2)
    await look(db, order("A1"), at=1)
    assert await held(db) == {NO_ID.encode()}


async def test_a_look_that_is_cut_off_does_not_tell(db: Database) -> None:
    await look(db, NO_ID, at=0)

    async def cut_off() -> AsyncGenerator[SpartooOrder]:
        yield SpartooOrder.from_xml(order("A1").encode(), PARIS, "EUR")
        raise ConnectionError

    later = NOW + MINUTE
    reading = Reading(settings(), later, since=NOW - HOUR)
    with pytest.raises(ConnectionError):
        await OrderIntake(db, reading, Metrics(), lambda: later).stream(cut_off())
    assert await held(db) == {NO_ID.encode()}


async def test_orders_and_returns_leave_by_looks_of_their_own(db: Database) -> None:
    async def returns(*xml: str) -> AsyncGenerator[SpartooReturn]:
        for one in xml:
            yield SpartooReturn.from_xml(one.encode(), PARIS)

    async def look_at_returns(*xml: str, at: int) -> None:
        read_at = NOW + at * MINUTE
        reading = Reading(settings(), read_at, since=NOW - HOUR)
        await ReturnIntake(db, reading, Metrics(), lambda: read_at).stream(returns(*xml))

    await look(db, NO_ID, at=0)
    await look_at_returns("<return/>", at=0)
    await look(db, NO_ID, at=1)
    await look_at_returns("<return/>", at=1)
    assert await held(db) == {NO_ID.encode(), b"<return/>"}
    await look_at_returns(at=2)
    assert await held(db) == {NO_ID.encode()}
