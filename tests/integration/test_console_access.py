"""The console over HTTP: who gets in, and what is refused."""

import re
from io import BytesIO
from urllib.parse import unquote

import pytest
from structlog.testing import capture_logs
from yarl import URL

from adapters.postgres.database import Database
from daemon.console.order_page import TABS
from daemon.login_limit import FREE_TRIES
from daemon.settings import Settings
from tests.fixtures.console import TOKEN, Visitor, asked_for
from tests.unit.builders import ORDER_ID

HERE = f"/orders/shoes-fr/{ORDER_ID}"


async def test_pages_are_not_shown_before_login(stranger: Visitor) -> None:
    for path in ("/", "/orders", HERE):
        response, _ = await stranger.get(path)
        assert response.status == 303
        assert unquote(response.headers["Location"]) == f"/login?next={path}"
    response, _ = await stranger.get("/orders", HX_Request="true")
    assert (response.status, response.headers["HX-Redirect"]) == (401, "/login")
    response, _ = await stranger.get("/stream", Accept="text/event-stream")
    assert response.status == 401
    response, text = await stranger.post("/orders/bulk", {"command": "order.accept"})
    assert response.status == 401
    assert "Nothing was changed" in text


async def test_login_sets_a_cookie_that_scripts_and_other_sites_do_not_get(
    stranger: Visitor,
) -> None:
    await stranger.get("/login")
    response, _ = await stranger.post(
        "/login", {"password": TOKEN, "next": "/orders?state=new"}, X_Forwarded_Proto="https"
    )
    assert (response.status, response.headers["Location"]) == (303, "/orders?state=new")
    cookie = response.cookies["spartoo_sync_session"]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Strict")
    assert TOKEN not in cookie.value


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example", "/\\evil.example"])
async def test_login_never_sends_to_another_site(stranger: Visitor, target: str) -> None:
    _, text = await stranger.get(f"/login?next={target}")
    assert "evil" not in text
    response, _ = await stranger.post("/login", {"password": TOKEN, "next": target})
    assert response.headers["Location"] == "/"


async def test_guessing_is_slowed_down(stranger: Visitor) -> None:
    await stranger.get("/login")
    for _ in range(FREE_TRIES - 1):
        response, text = await stranger.post("/login", {"password": "guess é"})
        assert response.status == 401
        assert "guess" not in text
    response, _ = await stranger.post("/login", {"password": "guess é"})
    assert response.status == 429
    assert int(response.headers["Retry-After"]) >= 1
    response, _ = await stranger.post("/login", {"password": TOKEN})
    assert response.status == 303  # who knows it is locked out by nobody


async def test_login_asks_for_the_form_s_own_token(stranger: Visitor) -> None:
    await stranger.get("/login")
    response, _ = await stranger.post("/login", {"password": TOKEN, "csrf": "forged"})
    assert response.status == 403
    assert (await stranger.get("/orders"))[0].status == 303


async def test_logging_out_ends_the_session_for_copies_of_its_cookie_too(
    stranger: Visitor,
) -> None:
    await stranger.log_in()
    copy = {cookie.key: cookie.value for cookie in stranger.http.cookie_jar}
    response, _ = await stranger.post("/logout")
    assert response.headers["Location"] == "/login"
    stranger.http.cookie_jar.update_cookies(copy, URL(stranger.url))
    assert (await stranger.get("/orders"))[0].status == 303


async def test_a_link_from_another_site_does_not_log_out(stranger: Visitor) -> None:
    await stranger.log_in()
    kept = {cookie.key: cookie.value for cookie in stranger.http.cookie_jar}
    stranger.http.cookie_jar.clear()  # the browser holds it back
    response, text = await stranger.get(HERE, Sec_Fetch_Site="cross-site")
    assert response.status == 200
    assert 'http-equiv="refresh" content="0"' in text
    assert not response.cookies
    stranger.http.cookie_jar.update_cookies(kept, URL(stranger.url))
    response, _ = await stranger.get("/orders", Sec_Fetch_Site="same-origin")
    assert response.status == 200


async def test_another_token_ends_every_session(stranger: Visitor) -> None:
    await stranger.log_in()
    assert (await stranger.get("/orders"))[0].status == 200
    other = {"state_dir": stranger.readiness.settings.state_dir, "http_token": "another"}
    stranger.readiness.settings = Settings.model_validate(other)
    assert (await stranger.get("/orders"))[0].status == 303


async def test_without_a_token_only_this_machine_s_names_are_answered(visitor: Visitor) -> None:
    for host in ("127.0.0.1:8080", "localhost", "[::1]:8080"):
        assert (await visitor.get("/orders", Host=host))[0].status == 200
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8080",
        "",
        "[::1",
    ):
        response, text = await visitor.get("/orders", Host=host)
        assert response.status == 421
        assert ORDER_ID not in text


async def test_a_page_says_that_the_daemon_is_starting(visitor: Visitor) -> None:
    parts, visitor.readiness.parts = visitor.readiness.parts, None
    response, text = await visitor.get("/orders")
    assert (response.status, response.headers["Retry-After"]) == (503, "2")
    assert "starting" in text
    visitor.readiness.parts = parts
    assert (await visitor.get("/orders"))[0].status == 200


async def test_no_form_is_taken_without_its_page_s_token(db: Database, visitor: Visitor) -> None:
    accept = {"command": "order.accept", "order": f"shoes-fr/{ORDER_ID}"}
    for path in ("/orders/bulk", f"{HERE}/act", f"{HERE}/ship", f"{HERE}/comments", "/orders"):
        for csrf in ("", "forged", "é"):
            response, _ = await visitor.post(path, accept | {"csrf": csrf})
            assert response.status == 403
    assert await asked_for(db) == {}
    by_header = visitor.csrf
    response, _ = await visitor.post("/orders/bulk", accept | {"csrf": ""}, X_CSRF_Token=by_header)
    assert response.status == 200
    assert await asked_for(db) == {ORDER_ID: ["accept"]}


async def test_every_page_carries_the_policy_and_nothing_inline(visitor: Visitor) -> None:
    missing = "/orders/shoes-fr/missing"
    for path in ("/orders", "/login", missing, *(f"{HERE}/{tab}" for tab in TABS)):
        response, text = await visitor.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert not re.search(r"<style|<script(?![^>]* src=)|\sstyle=|\son\w+=|javascript:", text)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)
        files = re.findall(r'(?:src|href)="(/static/[^"]+)"', text)
        for name in set(files):
            static, _ = await visitor.get(name)
            assert static.status == 200
            assert "immutable" in static.headers["Cache-Control"]


@pytest.mark.parametrize(
    "query",
    ["state=unknown", "since=yesterday", "until=9999-12-31", "cursor=x", "since=2026-99-99"],
)
async def test_filters_that_mean_nothing_are_named(visitor: Visitor, query: str) -> None:
    response, text = await visitor.get(f"/orders?{query}")
    assert response.status == 400
    assert "Not understood" in text


@pytest.mark.parametrize(
    "query",
    ["zone=Nowhere/Land&since=2026-11-01", "search=forged", "connection=none", "connection=%00",
     "zone=%2e%2e/x&until=2026-11-01"],
)  # fmt: skip
async def test_filters_that_find_nothing_are_no_failure(visitor: Visitor, query: str) -> None:
    assert (await visitor.get(f"/orders?{query}"))[0].status == 200


async def test_forms_that_are_no_text_are_refused(visitor: Visitor) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"text=\xff\xfe", BytesIO(b"text=" + b"x" * 2_000_000)):
        async with visitor.http.post(visitor.url + "/orders", data=body, headers=headers) as answer:
            assert answer.status in {400, 413}


async def test_what_is_not_there_is_said_so(visitor: Visitor) -> None:
    for path in (
        *("/orders/shoes-fr/missing", "/orders/none/x", f"{HERE}/missing", "/orders/a/%00"),
        *("/missing", "/orders/bulk", "/a/b%2fc/d", "/%00", "/logout"),
    ):
        response, text = await visitor.get(path)
        assert response.status == 404
        assert "Not found" in text
        assert "Content-Security-Policy" in response.headers


async def test_what_there_is_stays_hidden_before_login(stranger: Visitor) -> None:
    response, _ = await stranger.get("/missing")
    assert (response.status, response.headers["Location"]) == (303, "/login?next=%2Fmissing")


async def test_a_page_that_fails_tells_the_log_where_and_nobody_who(
    db: Database, visitor: Visitor
) -> None:
    async with db.connection() as conn:
        await conn.execute("update orders set facts = $1", b'{"customer": "Ada Lovelace"}')
    with capture_logs() as logged:
        response, text = await visitor.get("/orders")
    assert response.status == 500
    assert "Lovelace" not in text
    (record,) = [entry for entry in logged if entry["event"] == "page failed"]
    assert record["page"] == "/orders"
    assert any(at.startswith("rows.py:") for at in record["at"])
    assert "Lovelace" not in str(logged)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/no-such-page", 404),
        ("POST", "/no-such-page", 404),
        ("OPTIONS", "/no-such-page", 404),
        ("POST", "/plan", 405),
        ("OPTIONS", "/plan", 405),
        ("DELETE", "/healthz", 405),
        ("HEAD", "/stream", 405),
        ("GET", "/logout", 404),
        ("GET", "/static/console.0123456789ab.css", 404),
        ("GET", "/orders/shoes-fr/missing", 404),
        ("GET", "/orders?cursor=nonsense", 400),
        ("GET", "/%00", 404),
    ],
)
async def test_every_refusal_is_a_page_with_a_way_back(
    visitor: Visitor, method: str, path: str, status: int
) -> None:
    async with visitor.http.request(method, visitor.url + path) as response:
        text = await response.text()
    assert (response.status, response.content_type) == (status, "text/html")
    assert response.headers["Content-Security-Policy"]
    assert ("Allow" in response.headers) == (status == 405)
    if method != "HEAD":
        assert '<nav class="main"' in text
        assert 'class="count pending' in text
        assert 'href="/">To the orders' in text


async def test_a_form_that_is_refused_keeps_the_navigation(visitor: Visitor) -> None:
    for form, status in (({"csrf": "forged"}, 403), ({"order": BytesIO(b"x" * 2**20)}, 413)):
        response, text = await visitor.post("/orders/bulk", form)
        assert response.status == status
        assert "Nothing was changed" in text
        assert '<nav class="main"' in text


async def test_a_page_s_headers_may_be_asked_for_alone(visitor: Visitor) -> None:
    for path in ("/", "/orders", "/login", HERE):
        async with visitor.http.head(visitor.url + path) as response:
            assert response.status in {200, 303}
            assert await response.read() == b""


async def test_strangers_see_refusals_without_the_console(stranger: Visitor) -> None:
    for method, path, status in (
        ("POST", "/no-such-page", 401),
        ("OPTIONS", "/plan", 401),
        ("GET", "/static/none.css", 404),
    ):
        async with stranger.http.request(method, stranger.url + path) as response:
            text = await response.text()
        assert response.status == status
        assert "<nav" not in text
        assert not response.cookies
