"""The API on orders: found, opened, and commanded as the queue would."""

from datetime import timedelta
from typing import Any

import pytest

from adapters.postgres import slips
from adapters.postgres.database import Database
from daemon.steps import take_steps
from statemachine.facts import ActionRejected, Seen
from statemachine.model import ActionKind, ConnectionId, Customer, OrderId
from tests.fixtures.api import Api
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, marketplace_order, settings

SHOES = ConnectionId("shoes-fr")


async def store(db: Database, *ids: str, connection: str = "shoes-fr", **given: Any) -> None:
    """Orders that wait for a person, a minute apart."""
    waiting = settings(id=connection, auto_accept=False)
    for number, order_id in enumerate(ids):
        placed = NOW + timedelta(minutes=number)
        order = marketplace_order(
            **{"order_id": OrderId(order_id), "purchased_at": placed, **given}
        )
        async with db.transaction() as tx:
            await take_steps(tx, waiting, {order.order_id: Seen(order, NOW)}, NOW)


@pytest.fixture
async def shoes(db: Database) -> None:
    await add_connection(db, settings(auto_accept=False))


async def ids(api: Api, **query: object) -> list[str]:
    return [item["order_id"] for item in (await api.get("/orders", **query)).json["items"]]


@pytest.mark.usefixtures("shoes")
async def test_orders_are_paged_newest_first(api: Api, db: Database) -> None:
    await store(db, *(f"A{number}" for number in range(5)))
    first = await api.get("/orders", limit=2)
    assert [item["order_id"] for item in first.json["items"]] == ["A4", "A3"]
    second = await api.get("/orders", limit=2, cursor=first.json["next"])
    last = await api.get("/orders", limit=2, cursor=second.json["next"])
    assert [item["order_id"] for item in last.json["items"]] == ["A0"]
    assert last.json["next"] is None


@pytest.mark.usefixtures("shoes")
async def test_orders_are_filtered(api: Api, db: Database) -> None:
    await add_connection(db, settings(id="shoes-de", auto_accept=False))
    await store(db, "A1", customer=Customer(first_name="Ada", last_name="Núñez"))
    await store(db, "B1", connection="shoes-de", purchased_at=NOW - timedelta(days=3))
    assert await ids(api, connection="shoes-de") == ["B1"]
    assert await ids(api, state="pending_manual") == ["A1", "B1"]
    assert await ids(api, state="shipped") == []
    assert await ids(api, q="núñez") == ["A1"]
    assert await ids(api, to="2026-11-17") == ["B1"]
    assert await ids(api, **{"from": "2026-11-20T12:00:00Z"}) == ["A1"]
    assert await ids(api, **{"from": "2026-11-20T13:00:00+01:00"}) == ["A1"]
    assert await ids(api, attention="true") == []
    got = await api.get("/orders?from=2026-11-20T13:00:00+01:00")  # a + that means a space
    assert [item["order_id"] for item in got.json["items"]] == ["A1"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit: must be at least 1"),
        ("limit=201", "limit: must be at most 200"),
        ("limit=99999999999999999999999", "limit: must be at most 200"),
        ("limit=ten", "limit: must be a whole number"),
        ("limit=1&limit=2", "limit: given more than once"),
        ("state=lost-in-space", "state: must be 'new', 'pending_manual', "),
        ("from=yesterday", "from: must be a day or"),
        ("from=2026-11-20T12:00:00", "from: must be a day or"),
        ("to=9999-12-31", "to: must be a day or"),
        ("from=0001-01-01T00:00:00%2B14:00", "from: must be a day or"),
        ("attention=perhaps", "attention: must be true or false"),
        ("q=a%00b", "q: must be text without NUL"),
        ("cursor=nonsense", "cursor: this cursor did not come from a page before"),
        ("cursor=WyIyMDI2LTExLTIwVDEyOjAwOjAwIiwiYSIsImIiXQ", "cursor: "),  # no offset
        ("cursor=WyIyMDI2LTExLTIwVDEyOjAwOjAwWiIsImFcdTAwMDAiLCJiIl0", "cursor: "),  # NUL
        ("colour=red", "colour: unknown parameter; known are: limit, cursor"),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, query: str, said: str) -> None:
    got = await api.get(f"/orders?{query}")
    assert got.refusal == (400, "bad_command")
    assert got.json["detail"].startswith(said)


async def test_a_filter_by_an_unknown_connection_says_so(api: Api) -> None:
    assert (await api.get("/orders", connection="nowhere")).refusal == (404, "unknown_connection")


@pytest.mark.usefixtures("shoes")
async def test_an_order_is_opened_with_all_that_is_kept(api: Api, db: Database) -> None:
    await store(db, "A1")
    await api.post("/orders/shoes-fr/A1/accept", {"by": "ada"})
    async with db.transaction() as tx:
        fact = ActionRejected(ActionKind.ACCEPT, "rejected", "not today")
        await take_steps(tx, settings(auto_accept=False), {OrderId("A1"): fact}, NOW)
    order = (await api.get("/orders/shoes-fr/A1")).json
    assert order["state"] == "pending_manual"
    assert order["decision"]["reasons"] == ["auto_accept_off", "unknown_product"]
    assert [move["to"] for move in order["history"]] == ["new", "pending_manual"]
    assert [(a["kind"], a["status"]) for a in order["actions"]] == [("accept", "failed")]
    assert order["problem"]["code"] == "rejected"
    assert {entry["name"] for entry in order["communications"]} >= {"order.accept", "order.new"}
    assert order["events"][0]["type"] == "order.new"
    assert await ids(api, attention="true") == ["A1"]
    assert (await api.get("/orders", attention="true")).json["items"][0]["problem"]["code"]


@pytest.mark.usefixtures("shoes")
async def test_what_is_not_there_is_told(api: Api) -> None:
    assert (await api.get("/orders/shoes-fr/A1")).refusal == (404, "unknown_order")
    assert (await api.get("/orders/nowhere/A1")).refusal == (404, "unknown_connection")
    assert (await api.get("/orders/shoes-fr/%00")).refusal == (400, "bad_command")
    got = await api.post("/orders/shoes-fr/A1/accept")
    assert got.refusal == (404, "unknown_order")
    assert (await api.post("/orders/nowhere/A1/accept")).refusal == (404, "unknown_connection")


@pytest.mark.usefixtures("shoes")
async def test_commands_are_queued_done_or_refused(api: Api, db: Database) -> None:
    await store(db, "A1", "A2", "A3")
    for _ in range(2):
        got = await api.post("/orders/shoes-fr/A1/accept", {"by": "ada"})
        assert (got.status, got.json["status"]) == (202, "queued")
    assert got.json["order"]["order_id"] == "A1"
    got = await api.post("/orders/shoes-fr/A2/refuse", {"reason": "damaged"})
    assert got.status == 202
    got = await api.post("/orders/shoes-fr/A3/ship", {"tracking_number": "8R1"})
    assert got.refusal == (409, "wrong_state")
    got = await api.post("/orders/shoes-fr/A3/lost")
    assert got.refusal == (409, "wrong_state")
    async with db.connection() as conn:
        asked = await conn.fetch("select order_id, kind, requested_by from actions order by id")
    assert [tuple(row) for row in asked] == [("A1", "accept", "ada"), ("A2", "cancel", "api")]


@pytest.mark.usefixtures("shoes")
async def test_an_idempotency_key_is_answered_the_same(api: Api, db: Database) -> None:
    await store(db, "A1")
    key = {"Idempotency-Key": "once"}
    first = await api.post("/orders/shoes-fr/A1/accept", **key)
    again = await api.post("/orders/shoes-fr/A1/accept", **key)
    assert (again.status, again.content) == (first.status, first.content)
    assert first.json["id"] == "once"
    got = await api.post("/orders/shoes-fr/A1/accept", **{"Idempotency-Key": "x" * 256})
    assert got.refusal == (400, "bad_command")
    assert got.json["detail"].startswith("Idempotency-Key: ")


@pytest.mark.usefixtures("shoes")
async def test_a_disabled_connection_refuses(api: Api, db: Database) -> None:
    await store(db, "A1")
    assert (await api.post("/connections/shoes-fr/disable")).status == 200
    got = await api.post("/orders/shoes-fr/A1/accept")
    assert got.refusal == (409, "connection_disabled")


@pytest.mark.parametrize(
    ("action", "body", "said"),
    [
        ("accept", {"reason": 7}, "reason: "),
        ("accept", {"order_id": "B2"}, "order_id: the address says otherwise"),
        ("accept", {"command": "order.cancel"}, "command: the address says otherwise"),
        ("ship", {}, "tracking_number: give it, or parcels"),
        ("ship", {"tracking_number": "8R1", "parcels": []}, "parcels: "),
        ("ship", {"parcels": [{"tracking_number": "8R1"}]}, "parcels[0].items: must be given"),
        ("acknowledge", {}, "store_order_id: "),
    ],
)
async def test_a_bad_field_is_named(
    api: Api, action: str, body: dict[str, object], said: str
) -> None:
    got = await api.post(f"/orders/shoes-fr/A1/{action}", body)
    assert got.refusal == (400, "bad_command")
    assert got.json["detail"].startswith(said)


@pytest.mark.usefixtures("shoes")
async def test_a_slip_that_is_kept_is_given_as_a_pdf(api: Api, db: Database) -> None:
    await store(db, "A1", "A2")
    async with db.connection() as conn:
        await slips.keep(conn, SHOES, OrderId("A1"), b"%PDF-1.4 slip", NOW)
    got = await api.get("/orders/shoes-fr/A1/slip")
    assert (got.status, got.content) == (200, b"%PDF-1.4 slip")
    assert got.headers["Content-Type"] == "application/pdf"
    assert (await api.get("/orders/shoes-fr/A2/slip")).refusal == (409, "wrong_state")


@pytest.mark.usefixtures("shoes")
async def test_without_calls_left_a_slip_is_to_be_asked_for_when_there_are(
    api: Api, db: Database
) -> None:
    await store(db, "A1")
    await api.ask("PATCH", "/connections/shoes-fr", {"api_key": "F" * 16})
    async with db.connection() as conn:
        await conn.execute("update orders set state = 'accepted'")
        await conn.execute(
            """insert into calls (connection, service, minute, calls)
            values ('shoes-fr', 'xml_export_bl', now(), 300)"""
        )
    got = await api.get("/orders/shoes-fr/A1/slip")
    assert got.refusal == (503, "throttled")
    assert 3500 < int(got.headers["Retry-After"]) <= 3660


@pytest.mark.usefixtures("shoes")
async def test_markup_comes_back_as_it_was(api: Api, db: Database) -> None:
    name = "<script>alert('ü')</script>"
    await store(db, "A1", customer=Customer(first_name=name))
    got = await api.get("/orders/shoes-fr/A1")
    assert got.json["customer"]["first_name"] == name
    assert got.headers["Content-Type"] == "application/json"


@pytest.mark.usefixtures("shoes")
async def test_a_key_of_another_command_is_refused(api: Api, db: Database) -> None:
    """Its reply would say that this one is done."""
    await store(db, "A1", "A2")
    key = {"Idempotency-Key": "once"}
    first = await api.post("/orders/shoes-fr/A1/accept", **key)
    for path in ("/orders/shoes-fr/A1/cancel", "/orders/shoes-fr/A2/accept"):
        assert (await api.post(path, **key)).refusal == (409, "id_taken")
    got = await api.post("/orders/shoes-fr/A1/accept", {"reason": "other"}, **key)
    assert got.refusal == (409, "id_taken")
    again = await api.post("/orders/shoes-fr/A1/accept", {"by": "someone else"}, **key)
    assert again.content == first.content
    async with db.connection() as conn:
        assert await conn.fetchval("select count(*) from actions") == 1
