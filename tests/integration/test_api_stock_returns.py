"""The API on returns, products and the quarantine."""

from base64 import b64encode
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from adapters.postgres import quarantine
from adapters.postgres import returns as return_store
from adapters.postgres.database import Database
from daemon.return_steps import take_return_steps
from statemachine.model import ConnectionId, ReturnId
from statemachine.return_facts import ReturnSeen
from tests.fixtures.api import Api
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, marketplace_return, settings

SHOES, GERMAN = ConnectionId("shoes-fr"), ConnectionId("shoes-de")
PDF = b64encode(b"%PDF-1.4\n%%EOF\n").decode()


@pytest.fixture(autouse=True)
async def shoes(db: Database) -> None:
    await add_connection(db, settings())


async def store_returns(db: Database, *ids: str) -> None:
    """Returns that wait, a minute apart."""
    for number, return_id in enumerate(ids):
        asked = NOW + timedelta(minutes=number)
        seen = marketplace_return(return_id=ReturnId(return_id), requested_at=asked)
        async with db.transaction() as tx:
            await take_return_steps(tx, settings(), {seen.return_id: ReturnSeen(seen, NOW)}, NOW)


async def test_returns_are_paged_filtered_and_opened(api: Api, db: Database) -> None:
    await store_returns(db, "R1", "R2", "R3")
    first = (await api.get("/returns", limit=2)).json
    assert [item["return_id"] for item in first["items"]] == ["R3", "R2"]
    rest = (await api.get("/returns", limit=2, cursor=first["next"])).json
    assert ([item["return_id"] for item in rest["items"]], rest["next"]) == (["R1"], None)
    assert (await api.get("/returns", state="paid")).json["items"] == []
    order_id = first["items"][0]["order_id"]
    assert len((await api.get("/returns", order_id=order_id)).json["items"]) == 3
    opened = (await api.get("/returns/shoes-fr/R1")).json
    assert [move["to"] for move in opened["history"]] == ["requested"]
    assert (await api.get("/returns/shoes-fr/R9")).refusal == (404, "unknown_return")


async def test_returns_are_accepted_refused_and_labelled(api: Api, db: Database) -> None:
    await store_returns(db, "R1", "R2")
    got = await api.post("/returns/shoes-fr/R1/accept", {"label_file": PDF})
    assert (got.status, got.json["return"]["return_id"]) == (202, "R1")
    got = await api.post("/returns/shoes-fr/R2/refuse", {"by": "ada"})
    assert got.status == 202
    async with db.connection() as conn:
        label = await return_store.label(conn, SHOES, ReturnId("R1"))
    assert label is not None
    assert label.pdf == b"%PDF-1.4\n%%EOF\n"
    opened = (await api.get("/returns/shoes-fr/R2")).json
    assert [(a["kind"], a["requested_by"]) for a in opened["actions"]] == [("return_refuse", "ada")]
    assert (await api.post("/returns/shoes-fr/R9/accept")).refusal == (404, "unknown_return")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"label_file": "bm8gUERG"},
        {"label_file": "???"},
        {"label_link": "ftp://example.org/x.pdf"},
        {"label_link": "https://example.org/x.pdf", "label_file": PDF},
    ],
)
async def test_a_label_that_is_none_is_refused(
    api: Api, db: Database, body: dict[str, str]
) -> None:
    await store_returns(db, "R1")
    got = await api.post("/returns/shoes-fr/R1/label", body)
    assert got.refusal == (400, "bad_command")
    assert got.json["detail"].startswith("label_")


async def put(api: Api, path: str, body: Any, **query: str) -> tuple[int, Any]:
    got = await api.ask("PUT", path, body, params=query)
    return got.status, got.json


async def test_products_are_told_found_and_restocked(api: Api) -> None:
    told = [{"id": f"1000{n}", "name": f"Boot {n}", "stock": n} for n in range(3)]
    told[0] |= {"price_final_incl_tax": 64.90, "currency": "EUR", "attributes": {"color": "red"}}
    status, reply = await put(api, "/products", {"products": told})
    assert (status, reply["status"]) == (200, "done")
    first = (await api.get("/products", limit=2)).json
    assert [item["id"] for item in first["items"]] == ["10000", "10001"]
    assert Decimal(first["items"][0]["price_final_incl_tax"]) == Decimal("64.9")
    rest = (await api.get("/products", limit=2, cursor=first["next"])).json
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (["10002"], None)
    status, _ = await put(api, "/products/10002/stock", {"stock": 7})
    assert status == 200
    (found,) = (await api.get("/products", q="boot 2")).json["items"]
    assert (found["stock"], found["available"], found["reserved"]) == (7, 7, 0)


async def test_catalogues_are_apart(api: Api) -> None:
    await put(api, "/products", {"products": [{"id": "a/b ü", "stock": 1}]}, catalog="shop")
    await put(api, "/products/a%2Fb%20%C3%BC/stock", {"stock": 5}, catalog="shop")
    assert (await api.get("/products")).json["items"] == []
    (found,) = (await api.get("/products", catalog="shop")).json["items"]
    assert (found["id"], found["stock"]) == ("a/b ü", 5)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/products", {}, "products: "),
        ("/products", {"products": {}}, "products: must be a list"),
        ("/products", {"products": [{"id": "1"}, {"id": "2", "stock": -1}]}, "products: product 2"),
        ("/products", {"products": [{"id": "1", "colour": "red"}]}, "products: product 1: unknown"),
        ("/products", {"products": [], "catalog": "shop"}, "catalog: the address says otherwise"),
        ("/products/1/stock", {}, "stock: "),
        ("/products/1/stock", {"stock": -1}, "stock: "),
        ("/products/1/stock", {"stock": 2**31}, "stock: "),
        ("/products/1/stock", {"stock": 1, "as_of": "2026-11-20T09:12:00"}, "as_of: needs an"),
    ],
)
async def test_bad_products_are_named_and_nothing_is_kept(
    api: Api, path: str, body: Any, said: str
) -> None:
    status, problem = await put(api, path, body, catalog="default")
    assert (status, problem["code"]) == (400, "bad_command")
    assert problem["detail"].startswith(said)
    assert (await api.get("/products")).json["items"] == []


async def quarantined(db: Database, connection: ConnectionId, *keys: str) -> None:
    async with db.transaction() as tx:
        for key in keys:
            xml = b"<order>Ada</order>"
            await quarantine.put(tx, connection, key, b"1" * 16, xml, "no date", NOW)


async def test_the_quarantine_is_paged_and_read_again(api: Api, db: Database) -> None:
    await quarantined(db, SHOES, "A1", "A2", "unreadable-1")
    first = (await api.get("/quarantine", limit=2)).json
    assert [item["order_id"] for item in first["items"]] == ["A1", "A2"]
    assert "xml" not in first["items"][0]
    rest = (await api.get("/quarantine", limit=2, cursor=first["next"])).json
    assert [item["order_id"] for item in rest["items"]] == ["unreadable-1"]
    got = await api.post("/quarantine/A1/retry", {"by": "ada"})
    assert (got.status, got.json["fetch"]) == (202, True)
    got = await api.post("/quarantine/unreadable-1/retry")
    assert (got.status, got.json["fetch"]) == (202, False)
    async with db.connection() as conn:
        asked = await conn.fetch("select order_id, kind, requested_by from actions")
    assert [tuple(row) for row in asked] == [("A1", "fetch", "ada")]


async def test_an_order_two_connections_have_is_named_with_one(api: Api, db: Database) -> None:
    await add_connection(db, settings(id=GERMAN))
    await quarantined(db, SHOES, "A1")
    await quarantined(db, GERMAN, "A1")
    assert (await api.post("/quarantine/A1/retry")).refusal == (409, "ambiguous_order")
    got = await api.post("/quarantine/A1/retry?connection=shoes-de")
    assert got.json["connection"] == "shoes-de"
    assert (await api.post("/quarantine/B2/retry")).refusal == (404, "unknown_order")
    got = await api.post("/quarantine/A1/retry?connection=nowhere")
    assert got.refusal == (404, "unknown_connection")
