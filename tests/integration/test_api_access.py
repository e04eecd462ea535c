"""Who may ask, and what is asked wrongly: each gets its answer, and nothing is done."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from adapters.postgres.database import Database
from daemon.settings import Settings
from tests.fixtures.api import PREFIX, Api, serving
from tests.fixtures.postgres import add_connection
from tests.unit.builders import settings

TOKEN = "correct horse é"


@pytest.fixture
async def guarded(db: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """The API with a token."""
    given = Settings(state_dir=tmp_path, http_token=SecretStr(TOKEN))
    async with serving(given, db) as api:
        yield api


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, 'Bearer realm="spartoo-sync"'),
        ("Bearer", 'Bearer realm="spartoo-sync"'),
        ("Bearer wrong", 'Bearer realm="spartoo-sync", error="invalid_token"'),
        (f"Basic {TOKEN}", 'Bearer realm="spartoo-sync", error="invalid_token"'),
        (f"Bearer {TOKEN}x", 'Bearer realm="spartoo-sync", error="invalid_token"'),
    ],
)
@pytest.mark.parametrize("path", ["/orders", "/openapi.json", "/events/stream", "/nothing"])
async def test_without_the_right_token_nothing_is_shown(
    guarded: Api, path: str, authorization: str | None, challenge: str
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    got = await guarded.ask("GET", path, headers=headers)
    assert got.refusal == (401, "unauthorized")
    assert got.headers["WWW-Authenticate"] == challenge


async def test_the_token_opens_and_health_needs_none(guarded: Api) -> None:
    headers = {"Authorization": f"bearer {TOKEN}", "Host": "sync.example.org"}
    assert (await guarded.ask("GET", "/orders", headers=headers)).status == 200
    for path in ("/healthz", "/readyz", "/metrics"):
        async with guarded.session.get(guarded.url + path) as response:
            assert response.status in {200, 503}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::", ""])
async def test_without_a_token_only_this_machine_is_served(api: Api, host: str) -> None:
    got = await api.ask("GET", "/orders", headers={"Host": host})
    assert got.refusal == (403, "foreign_host")


@pytest.mark.parametrize("host", ["localhost:8080", "LOCALHOST", "127.0.0.2", "[::1]:8080"])
async def test_every_name_of_this_machine_will_do(api: Api, host: str) -> None:
    assert (await api.ask("GET", "/orders", headers={"Host": host})).status == 200


async def test_without_a_token_other_pages_change_nothing(api: Api, db: Database) -> None:
    await add_connection(db, settings())
    path, own = "/connections/shoes-fr/disable", api.url
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://[::"):
        got = await api.post(path, Origin=origin)
        assert got.refusal == (403, "foreign_origin")
    assert (await api.get("/connections/shoes-fr")).json["active"] is True
    assert (await api.post(path, Origin=own)).status == 200


async def test_what_is_no_json_is_refused(api: Api, db: Database) -> None:
    await add_connection(db, settings())

    async def told(body: bytes, kind: str = "application/json") -> tuple[int, str]:
        headers = {"Content-Type": kind}
        got = await api.ask("POST", "/connections/shoes-fr/sync", data=body, headers=headers)
        return got.refusal

    assert await told(b"since=2026-11-01", "application/x-www-form-urlencoded") == (
        415,
        "unsupported_media_type",
    )
    assert await told(b"{}", "text/plain") == (415, "unsupported_media_type")
    for body in (b"{", b"[]", b"7", b'"a"', b"\xff\xfe", b"[" * 100_000, b'{"since": "\\ud800"}'):
        assert await told(body) == (400, "bad_command")
    merging = {"Content-Type": "application/merge-patch+json"}
    got = await api.ask(
        "PATCH", "/connections/shoes-fr", data=b'{"auto_accept": false}', headers=merging
    )
    assert (got.status, got.json["auto_accept"]) == (200, False)


async def test_a_body_over_a_mebibyte_is_refused(api: Api) -> None:
    large = b'{"products": [' + b" " * 2**20 + b"]}"

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    json = {"Content-Type": "application/json"}
    for data in (BytesIO(large), in_pieces()):
        got = await api.ask("PUT", "/products", data=data, headers=json)
        assert got.refusal == (413, "payload_too_large")
    packed = {**json, "Content-Encoding": "gzip"}
    got = await api.ask("PUT", "/products", data=BytesIO(gzip.compress(large)), headers=packed)
    assert got.refusal == (413, "payload_too_large")
    fits = b'{"products": []' + b" " * (2**20 - 16) + b"}"
    assert (await api.ask("PUT", "/products", data=BytesIO(fits), headers=json)).status == 200


async def test_unknown_addresses_and_methods_are_problems(api: Api) -> None:
    for path in ("/nothing", "", "/", "/orders/", "/orders/a/b/c"):
        assert (await api.get(path)).refusal == (404, "unknown_path")
    async with api.session.get(f"{api.url}/api/v2/orders") as response:
        assert (await response.json(content_type="application/problem+json"))["status"] == 404
    got = await api.ask("DELETE", "/connections/shoes-fr")
    assert got.refusal == (405, "method_not_allowed")
    assert set(got.headers["Allow"].split(",")) == {"GET", "PATCH"}


async def test_while_the_database_is_away_it_says_so(tmp_path: Path, database_url: str) -> None:
    given = Settings(state_dir=tmp_path)
    async with serving(given, None) as api:
        got = await api.get("/orders")
        assert got.refusal == (503, "database_unavailable")
        assert got.headers["Retry-After"] == "5"
        assert (await api.get("/openapi.json")).status == 200
    database = await Database.open(database_url)
    async with serving(given, database) as api:
        await database.close()
        for got in (await api.get("/orders"), await api.post("/orders/a/b/accept")):
            assert got.refusal == (503, "database_unavailable")
            assert "127.0.0.1" not in got.json["detail"]


async def test_what_nobody_foresaw_leaves_an_id_and_no_more(api: Api, db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute("alter table orders rename to hidden")
        await conn.execute("drop view order_records")
    with capture_logs() as logs:
        got = await api.get("/orders", q="Ada")
    assert got.refusal == (500, "internal_error")
    (told,) = [entry for entry in logs if entry["event"] == "request failed"]
    assert got.json["instance"] == f"urn:uuid:{told['error_id']}"
    assert (told["route"], "Ada" in str(told)) == ("GET /api/v1/orders", False)
    assert "order_records" not in got.json["detail"]


async def test_addresses_with_customers_are_not_logged(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        await api.get("/orders", q="Ada Lovelace")
        await api.get("/orders", q="Ada Lovelace", limit=0)
        await asyncio.sleep(0)
    assert "Lovelace" not in caplog.text + str(logs)


async def test_the_document_is_served(api: Api) -> None:
    document = (await api.get("/openapi.json")).json
    assert document["servers"] == [{"url": PREFIX}]


async def test_guessing_is_slow_and_locks_nobody_out(guarded: Api) -> None:
    wrong = {"Authorization": "Bearer guess"}
    found = {(await guarded.ask("GET", "/orders", headers=wrong)).status for _ in range(9)}
    assert found == {401, 429}
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert (await guarded.ask("GET", "/orders", headers=right)).status == 200
    async with guarded.session.get(guarded.url + "/metrics") as response:
        assert 'spartoo_sync_auth_failures_total{part="api"} 9.0' in await response.text()
