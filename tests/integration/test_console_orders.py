"""The console over HTTP: what is shown of orders, and what is done with them."""

import asyncio
import re
from dataclasses import replace
from html import unescape

import pytest

from adapters.postgres import events, orders
from adapters.postgres.database import Database
from daemon.console import stream
from daemon.console.order_page import TABS
from daemon.console.orders import path_of
from statemachine.model import Customer, OrderId, OrderState, Problem
from tests.fixtures.console import Visitor, asked_for, keep
from tests.unit.builders import NOW, ORDER_ID, line, marketplace_order, reach, settings

MARKUP = "<script>alert(1)</script>"
HERE = f"/orders/shoes-fr/{ORDER_ID}"


async def test_markup_in_names_is_shown_as_text(db: Database, visitor: Visitor) -> None:
    name = "A<b>&'\"/{%2F}?#"
    facts = marketplace_order(
        line(name=MARKUP, brand=MARKUP, size=MARKUP, color=MARKUP),
        customer=Customer(first_name=MARKUP, email=MARKUP),
    )
    order = replace(
        reach(OrderState.PENDING_MANUAL).order, problem=Problem(MARKUP, MARKUP, None, NOW)
    )
    order = replace(order, facts=replace(facts, order_id=OrderId(name)), touched_by=MARKUP)
    changes = replace(reach(OrderState.PENDING_MANUAL).last, order=order, created=True, events=())
    async with db.transaction() as tx:
        await orders.record(tx, settings(), [changes], {})
    path = path_of("shoes-fr", name)
    for page in ("/orders", path, *(f"{path}/{tab}" for tab in TABS)):
        response, text = await visitor.get(page)
        assert response.status == 200
        assert MARKUP not in text
        assert MARKUP in unescape(text)
        assert "A<b>" not in text


async def test_search_finds_and_leaves_no_name_in_the_address(
    db: Database, visitor: Visitor
) -> None:
    await keep(db, "OTHER", customer=Customer(first_name="Grace", last_name="Hopper"))
    response, _ = await visitor.post("/orders", {"text": "hopper", "state": "pending_manual"})
    address = response.headers["Location"]
    assert response.status == 303
    assert "hopper" not in address.lower()
    assert "state=pending_manual" in address
    _, text = await visitor.get(address)
    assert 'value="hopper"' in text
    assert "OTHER" in text
    assert ORDER_ID not in text


async def test_a_search_too_short_for_beginnings_says_so(db: Database, visitor: Visitor) -> None:
    await keep(db, "LI", customer=Customer(first_name="Li", last_name="Lin"))
    for text, hit in (("li", True), ("l", False), ("lin", True), ("lix", False)):
        response, _ = await visitor.post("/orders", {"text": text})
        _, page = await visitor.get(response.headers["Location"])
        assert ('data-key="shoes-fr/LI"' in page) is hit
        assert (f"“{text}” is looked for as a whole word" in page) is (len(text) < 3)


async def test_pages_follow_each_other_with_their_filters(db: Database, visitor: Visitor) -> None:
    names = [f"NUM{number:02d}" for number in range(60)]
    await keep(db, *names)
    response, _ = await visitor.post("/orders", {"text": "num"})
    address, seen = response.headers["Location"], []
    while address:
        _, text = await visitor.get(address)
        seen += re.findall(r'data-key="shoes-fr/([^"]+)"', text)
        following = re.search(r'href="([^"]+)" rel="next"', text)
        address = unescape(following[1]) if following else ""
    assert seen == names


async def test_many_are_accepted_at_once_and_refusals_are_reported(
    db: Database, visitor: Visitor
) -> None:
    await keep(db, "DONE", state="cancelled")
    chosen = [("order", f"shoes-fr/{name}") for name in (ORDER_ID, "DONE", "MISSING", ORDER_ID)]
    fields = [("csrf", visitor.csrf), ("id", "one"), ("command", "order.accept"), *chosen]
    for _ in range(2):  # the same form twice does nothing twice
        async with visitor.http.post(visitor.url + "/orders/bulk", data=fields) as response:
            text = await response.text()
        assert "1 order: Spartoo is told to accept it." in text
        assert "2 orders were left as they are" in text
        assert "wrong_state" in text
        assert "unknown_order" in text
    assert await asked_for(db) == {ORDER_ID: ["accept"]}
    async with db.connection() as conn:
        assert await conn.fetchval("select count(*) from commands") == 3


async def test_refusing_many_asks_once_more(db: Database, visitor: Visitor) -> None:
    form = {"command": "order.refuse", "order": f"shoes-fr/{ORDER_ID}", "id": "one"}
    _, text = await visitor.post("/orders/bulk", form)
    assert "Refuse 1 order?" in text
    assert await asked_for(db) == {}
    _, text = await visitor.post("/orders/bulk", form | {"sure": "yes", "reason": "sold out"})
    assert "told to cancel" in text
    assert await asked_for(db) == {ORDER_ID: ["cancel"]}


@pytest.mark.parametrize(
    "form",
    [
        {"command": "order.accept"},
        {"command": "order.ship", "order": f"shoes-fr/{ORDER_ID}"},
        {"command": "order.accept", "order": "without-a-slash"},
    ],
)
async def test_what_cannot_be_done_to_many_is_said(visitor: Visitor, form: dict[str, str]) -> None:
    assert (await visitor.post("/orders/bulk", form))[0].status == 400


async def test_commands_on_one_order_say_what_became_of_them(
    db: Database, visitor: Visitor
) -> None:
    response, _ = await visitor.post(f"{HERE}/act", {"command": "order.lost", "tab": "items"})
    assert (response.status, response.headers["Location"]) == (303, f"{HERE}/items")
    _, text = await visitor.get(f"{HERE}/items")
    assert "wrong_state" in text
    _, text = await visitor.get(f"{HERE}/items")
    assert "wrong_state" not in text  # told once
    await visitor.post(f"{HERE}/act", {"command": "order.accept"})
    _, text = await visitor.get(HERE)
    assert "told to accept" in text
    assert 'value="order.accept"' not in text  # it is under way
    response, _ = await visitor.post(f"{HERE}/slip")
    assert response.status == 409


@pytest.mark.parametrize("tab", ["general", "decision"])
async def test_an_order_that_went_on_does_not_wait_any_more(
    db: Database, visitor: Visitor, tab: str
) -> None:
    async with db.connection() as conn:
        await conn.execute("update orders set state = 'shipped'")
    _, text = await visitor.get(f"{HERE}/{tab}")
    assert "held for a person" in text
    assert "waits for a person" not in text


async def test_a_parcel_holds_the_units_that_are_given(db: Database, visitor: Visitor) -> None:
    await keep(db, "TWO", state="synced", lines=(line(quantity=2),))
    path = "/orders/shoes-fr/TWO"
    form = {"tracking_number": "T1", "shipping_service": "dpd", "line-1": "1"}
    await visitor.post(f"{path}/ship", form)
    _, text = await visitor.get(f"{path}/shipments")
    assert "The parcel is kept" in text
    assert "1 of 2 units" in text
    assert "Ship another parcel" in text
    response, text = await visitor.post(
        f"{path}/ship", form | {"tracking_number": "T2", "line-1": "5"}
    )
    assert response.status == 409
    assert "bad_command" in text
    assert 'value="T2"' in text  # nothing has to be typed again
    await visitor.post(f"{path}/ship", form | {"tracking_number": "T2"})
    _, text = await visitor.get(f"{path}/shipments")
    assert "told that it is shipped" in text
    assert await asked_for(db) == {"TWO": ["ship"]}


async def test_what_has_left_is_cancelled_only_where_the_box_is_ticked(
    db: Database, visitor: Visitor
) -> None:
    await keep(db, "TWO", state="synced", lines=(line(quantity=2),))
    path = "/orders/shoes-fr/TWO"
    await visitor.post(
        f"{path}/ship", {"tracking_number": "T1", "shipping_service": "dpd", "line-1": "1"}
    )
    await visitor.post(f"{path}/act", {"command": "order.cancel"})
    _, text = await visitor.get(path)
    assert "parcels_shipped" in text
    assert await asked_for(db) == {}
    await visitor.post(f"{path}/act", {"command": "order.cancel", "force": "yes"})
    assert await asked_for(db) == {"TWO": ["cancel"]}


async def test_an_order_is_closed_with_what_has_left(db: Database, visitor: Visitor) -> None:
    await keep(db, "TWO", state="synced", lines=(line(quantity=2),))
    path = "/orders/shoes-fr/TWO"
    await visitor.post(
        f"{path}/ship", {"tracking_number": "T1", "shipping_service": "dpd", "line-1": "1"}
    )
    await visitor.post(f"{path}/ship", {"close": "yes"})
    assert await asked_for(db) == {"TWO": ["ship"]}
    _, text = await visitor.get(f"{path}/shipments")
    assert "1 of 2 units; not shipped: 1 × line 1" in text


async def test_comments_stay_with_the_order(visitor: Visitor) -> None:
    await visitor.post(f"{HERE}/comments", {"text": f"called {MARKUP}\0", "by": "Ada"})
    _, text = await visitor.get(f"{HERE}/comments")
    assert f"called {MARKUP}" in unescape(text)
    assert MARKUP not in text
    for text in ("", "x" * 4001):
        assert (await visitor.post(f"{HERE}/comments", {"text": text}))[0].status == 400


async def test_the_header_counts_what_waits_for_people(db: Database, visitor: Visitor) -> None:
    await keep(db, "TWO")
    async with db.connection() as conn:
        assert await orders.waiting(conn) == orders.WaitingOrders(pending=2, attention=0)
        await conn.execute("update orders set problem = '{}' where order_id = 'TWO'")
        assert await orders.waiting(conn) == orders.WaitingOrders(pending=2, attention=1)
    _, text = await visitor.get(f"{HERE}/items")
    assert "<b>2</b> pending" in text


async def test_an_empty_console_says_what_to_do_next(stranger: Visitor) -> None:
    await stranger.log_in()
    _, text = await stranger.get("/orders")
    assert "Connect your first account" in text
    assert "/connections" in text


async def test_the_stream_tells_of_moves_and_ends_when_the_daemon_stops(
    db: Database, visitor: Visitor
) -> None:
    async with visitor.http.get(visitor.url + "/stream") as stream:
        assert stream.content_type == "text/event-stream"
        heard = ""
        while "<b>1</b> pending" not in heard:
            heard += (await stream.content.readline()).decode()
        await keep(db, "NEXT")
        async with db.transaction() as tx:
            await events.notify(tx, ["events"])
        while "<b>2</b> pending" not in heard:
            heard += (await stream.content.readline()).decode()
        visitor.readiness.stop.set()
        async with asyncio.timeout(5):
            await stream.content.read()
    assert "event: orders" in heard


async def test_only_so_many_pages_are_kept_up_to_date(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST", 1)
    async with visitor.http.get(visitor.url + "/stream") as watching:
        assert watching.status == 200
        response, _ = await visitor.get("/stream")
        assert response.status == 503
        visitor.readiness.stop.set()
        await watching.content.read()
    response, _ = await visitor.get("/stream")
    assert response.status == 200
