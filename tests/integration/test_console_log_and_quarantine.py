"""Quarantine, events and what if in the console."""

from datetime import timedelta
from decimal import Decimal

import pytest

from adapters.postgres import actions, events, orders, quarantine, returns
from adapters.postgres.database import Database
from daemon.products import upsert_products
from statemachine.model import (
    ActionKind,
    CatalogId,
    ConnectionId,
    OrderId,
    ProductId,
    ProductUpdate,
)
from tests.fixtures.merchant import Merchant, Page, no_script
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, ReturnStory, Story, line, product, settings

FR = ConnectionId("shoes-fr")
MARKUP = "<script>alert(1)</script>"
XML = f"<order><id>A1</id><name>{MARKUP}</name>]]></order>".encode()


async def put(db: Database, key: str, xml: bytes = XML, connection: ConnectionId = FR) -> None:
    async with db.transaction() as tx:
        await quarantine.put(tx, connection, key, b"f", xml, f"not a date: '{MARKUP}'", NOW)


async def test_what_is_in_quarantine_is_shown_as_text(merchant: Merchant, db: Database) -> None:
    assert "Nothing in quarantine" in (await merchant.get("/quarantine")).said
    await add_connection(db, settings())
    await put(db, "A1")
    grid = await merchant.get("/quarantine")
    no_script(grid, f"not a date: '{MARKUP}'")
    (link,) = grid.find("//tbody//a/@href")
    entry = await merchant.get(link)
    no_script(entry, MARKUP)
    (shown,) = entry.find("//pre")
    assert shown.text_content() == XML.decode()
    await put(db, "binary", b"\xff\0<x>" + b"y" * 300_000)
    cut = await merchant.get("/quarantine/shoes-fr/binary")
    assert "Only the beginning is shown" in cut.said
    assert (await merchant.get("/quarantine/shoes-fr/none")).status == 404


async def test_reading_again_fetches_what_has_an_id(merchant: Merchant, db: Database) -> None:
    await add_connection(db, settings())
    for key in ("A1", "unreadable-77", "return-5"):
        await put(db, key)
    told = await merchant.post("/quarantine/shoes-fr/A1/retry")
    assert "A1: it is read from Spartoo again" in told.said
    for key in ("unreadable-77", "return-5"):
        later = await merchant.post(f"/quarantine/shoes-fr/{key}/retry")
        assert "read again by the look that next finds it" in later.said
    async with db.connection() as conn:
        fetch = await actions.fetch_outcome(conn, FR, OrderId("A1"))
        assert (fetch.kind, fetch.requested_by) == (ActionKind.FETCH, "console")
        assert await conn.fetchval("select count(*) from quarantine where fingerprint is null") == 3
        assert await conn.fetchval("select count(*) from actions") == 1


async def test_the_quarantine_pages_and_filters(merchant: Merchant, db: Database) -> None:
    other = ConnectionId("shoes-de")
    for connection in (FR, other):
        await add_connection(db, settings(id=connection))
    for number in range(60):
        await put(db, f"A{number:02}", b"<x/>")
    await put(db, "B1", connection=other)
    first = await merchant.get("/quarantine?connection=shoes-fr")
    (link,) = first.find("//a[@rel='next']/@href")
    second = await merchant.get(link)
    rows = first.find("//tbody/tr") + second.find("//tbody/tr")
    assert len(rows) == 60
    assert "B1" not in second.said
    assert "shoes-fr (60)" in first.said


def positions(page: Page) -> list[int]:
    return [int(cell.text_content()) for cell in page.find("//td[@data-label='Position']")]


async def test_events_are_paged_newest_first_and_found_by_subject(
    merchant: Merchant, db: Database
) -> None:
    assert "No events yet" in (await merchant.get("/events")).said
    await add_connection(db, settings())
    updates = [ProductUpdate(ProductId(f"p{n:03}"), stock=1) for n in range(120)]
    async with db.transaction() as tx:
        await upsert_products(tx, CatalogId("shop-9"), updates, NOW)
        story = Story(product()).seen()
        await orders.record(tx, settings(), story.steps, {})
        await returns.record(tx, FR, ReturnStory().seen().steps, {})
    seen, path = [], "/events"
    while path:
        page = await merchant.get(path)
        seen += positions(page)
        path = next(iter(page.find("//a[@rel='next']/@href")), "")
    async with db.connection() as conn:
        every = [event.position for event in await events.after(conn, 0, 1000)]
    assert seen == every[::-1]
    of_product = await merchant.get("/events?subject=p007")
    assert len(positions(of_product)) == 1
    assert "stock.changed /spartoo/catalog/shop-9 p007" in of_product.said
    of_order = await merchant.get(f"/events?subject={story.order.id}")
    assert {"order.new", "order.accepted"} & set(of_order.said.split())
    (link,) = set(of_order.find("//tbody//a/@href"))
    assert link == f"/orders/shoes-fr/{story.order.id}"
    assert "“order_id”" not in of_order.said
    assert f'"order_id": "{story.order.id}"' in of_order.said
    assert "Nothing was told of" in (await merchant.get("/events?subject=nobody")).said


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 30, "²"])
async def test_a_position_that_is_none_is_refused(merchant: Merchant, before: str) -> None:
    page = await merchant.get(f"/events?before={before}")
    assert page.status == 400
    assert "whole number" in page.said


async def test_script_in_a_search_is_text(merchant: Merchant, db: Database) -> None:
    await add_connection(db, settings())
    for path in (
        "/events?subject={}",
        "/catalogue?q={}",
        "/what-if?connection=shoes-fr&threshold={}",
        "/what-if?connection=shoes-fr&threshold=1&since={}",
        "/returns?order={}",
    ):
        page = await merchant.get(path.format(MARKUP))
        assert not page.find("//script[not(@src)]")
        assert MARKUP in page.find("//main//input/@value"), path


async def orders_kept(db: Database, *prices: str) -> None:
    """Orders of one product at 64.99, a day apart, newest first."""
    await add_connection(db, settings())
    for number, price in enumerate(prices):
        placed = NOW - number * timedelta(days=1)
        story = Story(product()).seen(
            line(price=price), order_id=OrderId(f"A{number:03}"), purchased_at=placed
        )
        async with db.transaction() as tx:
            await orders.record(tx, settings(), story.steps, {})


async def test_what_if_counts_draws_lists_and_changes_nothing(
    merchant: Merchant, db: Database
) -> None:
    assert "No connections yet" in (await merchant.get("/what-if")).said
    await orders_kept(db, "64.99", "60.00", "1.00", "60.00")
    form = await merchant.get("/what-if")
    assert form.find("//select[@name='connection']/option/text()") == ["shoes-fr"]
    assert "Now 0.97" in form.said
    page = await merchant.get("/what-if?connection=shoes-fr&since=2026-11-01&threshold=0.9")
    assert "Accepted automatically 3 instead of 1 of 4 decided" in page.said
    assert "Held for a person 1 instead of 3" in page.said
    assert "Would differ 2 2 accepted that were held, 0 held that were accepted" in page.said
    assert "price below threshold 3 1" in page.said
    assert len(page.find("//*[name()='svg']//*[name()='rect']")) == 8
    links = page.find("//div[@class='stacked']//tbody//a/@href")
    assert links == ["/orders/shoes-fr/A001", "/orders/shoes-fr/A003"]
    assert "60.00 < 0.97 × 64.99" in page.row("A001")
    shorter = await merchant.get(
        "/what-if?connection=shoes-fr&since=2026-11-19&until=2026-11-20&auto_accept=off"
    )
    assert "of 2 decided" in shorter.said
    assert "Held for a person 2 instead of 1" in shorter.said
    same = await merchant.get("/what-if?connection=shoes-fr&since=2026-11-01&threshold=0.97")
    assert "every order would have gone the same way" in same.said
    async with db.connection() as conn:
        kept = await conn.fetch(
            "select distinct decision #>> '{settings,price_threshold}' from orders"
        )
        assert [Decimal(row[0]) for row in kept] == [Decimal("0.97")]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("connection=nobody&threshold=1", 404, "no connection nobody"),
        ("connection=shoes-fr&threshold=3", 422, "over 0 and at most 2"),
        ("connection=shoes-fr&threshold=NaN", 422, "over 0 and at most 2"),
        ("connection=shoes-fr&threshold=much", 422, "over 0 and at most 2"),
        ("connection=shoes-fr&price_attribute=best", 422, "one of those offered"),
        ("connection=shoes-fr&threshold=1&since=soon", 422, "must be a day"),
        ("connection=shoes-fr&threshold=1&until=9999-12-31", 422, "must be a day"),
        ("connection=shoes-fr&threshold=1&since=2126-01-01", 200, "No orders in this period"),
    ],
)
async def test_what_cannot_be_supposed_is_said(
    merchant: Merchant, db: Database, query: str, status: int, said: str
) -> None:
    await orders_kept(db, "64.99")
    page = await merchant.get(f"/what-if?{query}")
    assert page.status == status
    assert said in page.said
