"""The API on connections: added, changed under a version, tried, switched; the key stays inside."""

import asyncio
from typing import Any

import pytest

from adapters.postgres import connections, looks
from adapters.postgres.database import Database
from adapters.spartoo.simulator import Simulator
from adapters.spartoo.simulator.fault_kinds import AnsweredCode
from statemachine.model import ConnectionId
from tests.fixtures.api import Api
from tests.fixtures.system import KEYS

KEY = KEYS["auto"]
SHOES = ConnectionId("shoes-fr")


async def add(api: Api, **given: Any) -> dict[str, Any]:
    got = await api.post("/connections", {"id": "shoes-fr", "api_key": KEY, **given})
    assert got.status == 201, got.json
    assert KEY.encode() not in got.content
    return dict(got.json)


async def test_a_connection_is_added_shown_and_listed(api: Api, db: Database) -> None:
    got = await api.post("/connections", {"id": "shoes-fr", "api_key": KEY, "active": True})
    assert got.status == 201
    assert got.headers["Location"] == "/api/v1/connections/shoes-fr"
    shown = await api.get("/connections/shoes-fr")
    assert shown.json == got.json
    assert shown.headers["ETag"] == f'"{shown.json["version"]}"' == got.headers["ETag"]
    assert (shown.json["active"], shown.json["has_key"]) == (True, True)
    assert {look["look"] for look in shown.json["looks"]} == {"fresh", "open", "deep"}
    listed = await api.get("/connections")
    assert listed.json == {"items": [shown.json], "next": None}
    assert KEY.encode() not in listed.content + shown.content
    async with db.connection() as conn:
        assert await connections.api_key(conn, api.parts.cipher, SHOES) == KEY


async def test_connections_come_in_pages(api: Api) -> None:
    for name in ("shoes-it", "bags-fr", "shoes-de"):
        await add(api, id=name)
    first = await api.get("/connections", limit=2)
    assert [item["id"] for item in first.json["items"]] == ["bags-fr", "shoes-de"]
    last = await api.get("/connections", limit=2, cursor=first.json["next"])
    assert ([item["id"] for item in last.json["items"]], last.json["next"]) == (["shoes-it"], None)
    begun = await api.get("/connections", q="shoes-")
    assert [item["id"] for item in begun.json["items"]] == ["shoes-de", "shoes-it"]
    for wrong in ({"cursor": "x"}, {"limit": 201}, {"limit": 0}):
        assert (await api.get("/connections", **wrong)).refusal == (400, "bad_command")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"id": "a b"}, "id = 'a b': must be letters, digits and hyphens, at most 63"),
        ({"currency": "eur"}, "currency = 'eur': must be three capital letters, like EUR"),
        ({"id": None}, "id: must be given"),
        ({"site": "zz"}, "site 'zz' is not one of: fr"),
        ({"price_threshold": 3}, "price_threshold = 3: must be"),
        ({"pol_interval": 3}, "pol_interval: unknown setting; did you mean poll_interval?"),
        (
            {"default_shipping_service": "Pigeon", "shipping_services": ["UPS"]},
            "default_shipping_service must be one of",
        ),
        ({"api_key": " "}, "api_key: must be given"),
        ({"api_key": 12345678901234567}, "api_key: must be text"),
    ],
)
async def test_a_wrong_setting_is_named_and_nothing_added(
    api: Api, given: dict[str, Any], said: str
) -> None:
    got = await api.post("/connections", {"id": "shoes-fr", "api_key": KEY} | given)
    assert got.refusal == (400, "bad_command")
    assert said in got.json["detail"]
    assert "12345678901234567" not in got.json["detail"]
    assert (await api.get("/connections")).json["items"] == []


async def test_an_id_is_taken_once(api: Api) -> None:
    await add(api)
    assert (await api.post("/connections", {"id": "shoes-fr"})).refusal == (
        409,
        "connection_exists",
    )


async def test_a_change_keeps_what_is_not_given(api: Api) -> None:
    before = await add(api, auto_accept=True, default_shipping_service="UPS")
    got = await api.ask("PATCH", "/connections/shoes-fr", {"price_threshold": "0.9"})
    assert (got.status, got.json["price_threshold"]) == (200, "0.9")
    assert got.json["auto_accept"] is True
    assert got.json["version"] == before["version"] + 1
    back = {"default_shipping_service": None, "price_threshold": None}
    got = await api.ask("PATCH", "/connections/shoes-fr", back)
    assert (got.json["default_shipping_service"], got.json["price_threshold"]) == (None, "0.97")


async def test_a_stale_version_changes_nothing(api: Api) -> None:
    await add(api)
    tag = {"If-Match": (await api.get("/connections/shoes-fr")).headers["ETag"]}
    path, change = "/connections/shoes-fr", {"auto_accept": True}
    assert (await api.ask("PATCH", path, change, headers=tag)).status == 200
    got = await api.ask("PATCH", path, {"auto_accept": False}, headers=tag)
    assert got.refusal == (412, "stale_version")
    assert (await api.get(path)).json["auto_accept"] is True
    assert (await api.ask("PATCH", path, change, headers={"If-Match": "*"})).status == 200
    for wrong in ("3", 'W/"3"', '"x"', ""):
        got = await api.ask("PATCH", path, change, headers={"If-Match": wrong})
        assert got.refusal == (400, "bad_command")
        assert got.json["detail"].startswith("If-Match: ")


async def test_of_changes_under_one_version_one_is_made(api: Api) -> None:
    await add(api)
    tag = {"If-Match": (await api.get("/connections/shoes-fr")).headers["ETag"]}
    changes = [{"poll_interval": seconds} for seconds in range(10, 18)]
    asked = [api.ask("PATCH", "/connections/shoes-fr", c, headers=tag) for c in changes]
    statuses = [got.status for got in await asyncio.gather(*asked)]
    assert sorted(statuses) == [200] + [412] * 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "nothing to change"),
        ({"id": "other"}, "id: a connection keeps its id"),
        ({"connection": "other"}, "connection: the address says otherwise"),
        ({"active": "perhaps"}, "active = 'perhaps'"),
        ({"timezone": "Mars/Base"}, "timezone = 'Mars/Base'"),
        ({"currency": ""}, "currency: must not be empty"),
    ],
)
async def test_a_bad_change_is_named(api: Api, change: dict[str, Any], said: str) -> None:
    before = await add(api)
    got = await api.ask("PATCH", "/connections/shoes-fr", change)
    assert got.refusal == (400, "bad_command")
    assert got.json["detail"].startswith(said)
    assert (await api.get("/connections/shoes-fr")).json == before


async def test_no_more_are_active_than_the_plan_allows(api: Api) -> None:
    await add(api, active=True)
    await add(api, id="shoes-de", site="de", active=True)
    got = await api.post("/connections", {"id": "shoes-it", "active": True})
    assert got.refusal == (409, "plan_limit")
    assert (await api.get("/connections/shoes-it")).refusal == (404, "unknown_connection")
    await add(api, id="shoes-it", site="it")
    assert (await api.post("/connections/shoes-it/activate")).refusal == (409, "plan_limit")
    got = await api.ask("PATCH", "/connections/shoes-it", {"active": True})
    assert got.refusal == (409, "plan_limit")
    assert (await api.post("/connections/shoes-fr/disable")).json["status"] == "done"
    assert (await api.post("/connections/shoes-it/activate")).status == 200
    plan = (await api.get("/plan")).json
    assert (plan["used"], plan["allowed"], plan["orders"]) == (2, 2, 0)


async def test_a_key_is_tried(api: Api, simulator: Simulator) -> None:
    await add(api, base_url=simulator.url)
    got = await api.post("/connections/shoes-fr/test")
    assert (got.status, got.json["result"]) == (200, "works")
    simulator.faults.add(AnsweredCode(kind="code", code=-429, count=1))
    assert (await api.post("/connections/shoes-fr/test")).json["result"] == "throttled"
    await api.ask("PATCH", "/connections/shoes-fr", {"api_key": "F" * 16})
    assert (await api.post("/connections/shoes-fr/test")).json["result"] == "bad_key"
    elsewhere = {"base_url": "http://127.0.0.1:9/mp"}
    refused = await api.ask("PATCH", "/connections/shoes-fr", elsewhere)
    assert refused.status == 400
    assert "api_key: must be given again with another base_url" in refused.json["detail"]
    await api.ask("PATCH", "/connections/shoes-fr", elsewhere | {"api_key": "F" * 16})
    assert (await api.post("/connections/shoes-fr/test")).json["result"] == "not_reachable"
    assert (await api.post("/connections/nowhere/test")).refusal == (404, "unknown_connection")


async def test_suspended_and_why_is_shown_and_ended_by_activating(api: Api, db: Database) -> None:
    await add(api, active=True)
    async with db.transaction() as tx:
        added = await connections.get(tx, SHOES)
        await connections.suspend(tx, SHOES, "bad_key", "API key is not valid", added.added_at)
    shown = (await api.get("/connections/shoes-fr")).json
    assert (shown["suspended"]["reason"], shown["version"]) == ("bad_key", added.version)
    assert (await api.post("/connections/shoes-fr/activate")).status == 200
    assert (await api.get("/connections/shoes-fr")).json["suspended"] is None


async def test_a_look_is_asked_for(api: Api, db: Database) -> None:
    await add(api, active=True)
    got = await api.post("/connections/shoes-fr/sync", {"since": "2026-11-01"})
    assert (got.status, got.json["status"]) == (202, "queued")
    async with db.connection() as conn:
        asked = {state.look: state.since for state in await looks.state(conn, SHOES)}
    assert asked[looks.Look.BACKFILL] is not None
    got = await api.post("/connections/shoes-fr/sync", {"since": "soon"})
    assert got.refusal == (400, "bad_command")
    await api.post("/connections/shoes-fr/disable")
    got = await api.post("/connections/shoes-fr/sync")
    assert got.refusal == (409, "connection_disabled")
