"""Connections in the console: added, tried, configured, switched, and who was first is told."""

from datetime import UTC, datetime

import pytest

from adapters.postgres import budget, connections, looks
from adapters.postgres.connections import Connection
from adapters.postgres.database import Database
from adapters.spartoo.simulator import Simulator
from daemon.console import connection_choice
from statemachine.connection import ConnectionSettings
from statemachine.model import ConnectionId
from tests.fixtures.merchant import Merchant, Page, no_script
from tests.fixtures.postgres import add_connection
from tests.fixtures.system import KEYS
from tests.unit.builders import settings

ID = ConnectionId("shoes-fr")
KEY = "0123456789ABCDEF"
ADD = "/connections/_add/spartoo/fr"
HERE = f"/connections/{ID}"
MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
MARKER = "<script>alert(1)</script>"


async def stored(db: Database, connection: ConnectionId = ID) -> Connection:
    async with db.connection() as conn:
        return await connections.get(conn, connection)


async def all_ids(db: Database) -> list[str]:
    async with db.connection() as conn:
        return [connection.id for connection in await connections.list_all(conn)]


async def added(merchant: Merchant, **fields: str) -> Page:
    form = (await merchant.get(ADD)).fields(ADD)
    page = await merchant.post(ADD, form | {"id": ID, "api_key": KEY} | fields)
    assert page.status == 200
    return page


async def test_a_connection_is_added_step_by_step(merchant: Merchant, db: Database) -> None:
    empty = await merchant.get("/connections")
    assert "No connections yet" in empty.said
    (start,) = empty.find("//a[@class='button primary']/@href")
    grid = await merchant.get(start)
    (spartoo,) = grid.find("//a[@class='tile']/@href")
    sites = await merchant.get(spartoo)
    assert "Poland pl · PLN" in sites.said
    assert f"{spartoo}/fr" in sites.find("//a[@class='tile']/@href")
    form = await merchant.get(ADD)
    assert form.value("id") == "spartoo-fr"
    page = await added(merchant, price_threshold="0.9", shipping_services="DPD\nUPS", active="yes")
    assert page.path == HERE
    assert "is added and active" in page.said
    kept = await stored(db)
    assert kept.settings.active
    assert kept.settings.shipping_services == ("DPD", "UPS")
    assert str(kept.settings.price_threshold) == "0.9"
    async with db.connection() as conn:
        assert await connections.api_key(conn, merchant.parts.cipher, ID) == KEY
    for shown in (page, await merchant.get("/connections"), await merchant.get(HERE)):
        assert KEY not in shown.text
        assert KEY not in str(shown.headers)


async def test_every_setting_is_on_the_form_with_its_default_and_help(merchant: Merchant) -> None:
    await added(merchant)
    page = await merchant.get(HERE)
    for key, info in ConnectionSettings.model_fields.items():
        if key in {"id", "marketplace"}:
            continue
        (about,) = page.find(f"//*[@name='{key}' and not(@type='hidden')]/@aria-describedby")
        (label,) = page.find(f"//label[@for='f-{key}']")
        assert label.text_content() == info.title
        (help_text,) = page.find(f"//*[@id='{about}']")
        assert info.description in help_text.text_content()
        if info.default not in (None, {}):
            assert "Default: " in help_text.text_content()
    assert page.value("deep_look_interval") == "24h"
    assert page.value("poll_interval") == "1m"


async def test_a_form_saved_as_it_is_changes_nothing(merchant: Merchant, db: Database) -> None:
    await added(merchant, shipping_aliases="Poste = Colissimo", sync_from="2026-11-01")
    before = await stored(db)
    page = await merchant.post(HERE, (await merchant.get(HERE)).fields(HERE))
    assert "Settings saved" in page.said
    assert (await stored(db)).settings == before.settings


async def test_settings_are_changed_and_a_box_unticked(merchant: Merchant, db: Database) -> None:
    await added(merchant, auto_accept="yes", active="yes")
    form = (await merchant.get(HERE)).fields(HERE)
    del form["auto_accept"], form["active"]
    form |= {"poll_interval": "90s", "shipping_aliases": "La Poste = Colissimo\n", "currency": ""}
    await merchant.post(HERE, form)
    kept = (await stored(db)).settings
    assert (kept.auto_accept, kept.active) == (False, False)
    assert kept.poll_interval.total_seconds() == 90
    assert kept.shipping_aliases == {"La Poste": "Colissimo"}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("price_threshold", "7", "must be at most 2"),
        ("price_threshold", "NaN", "must be"),
        ("poll_interval", "soon", "a number of seconds"),
        ("sync_from", "tomorrow", "must be a day, like 2026-11-20"),
        ("sync_level", "half", "must be"),
        ("site", "zz", "is not one of: fr"),
        ("currency", "euro", "must be three capital letters"),
        ("timezone", "Mars/Olympus", "an IANA time zone"),
        ("base_url", "javascript:alert(1)", "must be an address"),
        ("default_shipping_service", "Pigeon", "one of shipping_services"),
        ("shipping_aliases", "Poste Colissimo", "must be one a line"),
        ("shipping_aliases", "Poste = Pigeon", "one of shipping_services"),
        ("max_calls_per_hour", "0", "must be at least 1"),
        ("catalog", "a b", "must be letters, digits and hyphens"),
    ],
)
async def test_what_cannot_be_taken_is_said_at_its_field(
    merchant: Merchant, db: Database, key: str, value: str, said: str
) -> None:
    await added(merchant)
    before = await stored(db)
    form = (await merchant.get(HERE)).fields(HERE) | {key: value, "api_key": "F" * 16}
    form |= {"shipping_services": "DPD"}
    page = await merchant.post(HERE, form)
    assert page.status == 422
    (about,) = page.find(f"//*[@name='{key}' and not(@type='hidden')]/@aria-describedby")
    (error,) = page.find(f"//*[@id='{about}']//*[contains(@class, 'error')]")
    assert said in error.text_content()
    if not page.find(f"//select[@name='{key}']"):
        assert page.value(key) == value
    assert page.find(f"//*[@name='{key}']/ancestor::details/@open")
    assert "F" * 16 not in page.text
    assert await stored(db) == before


async def test_who_saves_a_version_gone_by_is_told_what_it_is_now(
    merchant: Merchant, db: Database
) -> None:
    await added(merchant)
    old = (await merchant.get(HERE)).fields(HERE)
    await merchant.post(HERE, old | {"price_threshold": "0.8"})
    page = await merchant.post(HERE, old | {"price_threshold": "0.9", "catalog": "shop"})
    assert page.status == 412
    assert "Somebody changed this connection" in page.said
    assert "It is 0.8 now" in page.said
    assert "It is default now" in page.said
    assert str((await stored(db)).settings.price_threshold) == "0.8"
    again = await merchant.post(HERE, page.fields(HERE))
    assert again.status == 200
    assert str((await stored(db)).settings.price_threshold) == "0.9"
    without = {name: value for name, value in old.items() if name != "version"}
    assert (await merchant.post(HERE, without)).status == 400


async def test_the_key_is_tried_before_and_after_it_is_saved(
    merchant: Merchant, db: Database, simulator: Simulator
) -> None:
    tried = {"id": "auto", "base_url": simulator.url, "max_calls_per_hour": "5"}
    works = await merchant.post(f"{ADD}/test", tried | {"api_key": KEYS["auto"]}, **HTMX)
    assert "The key works" in works.said
    wrong = await merchant.post(f"{ADD}/test", tried | {"api_key": "F" * 16}, **HTMX)
    assert "-2" in wrong.said
    assert wrong.find("//p[@class='notice bad']")
    assert "api_key" in (await merchant.post(f"{ADD}/test", tried, **HTMX)).said
    plain = await merchant.post(f"{ADD}/test", tried | {"api_key": KEYS["auto"]})
    assert "The key works" in plain.said
    assert plain.value("base_url") == simulator.url
    assert await all_ids(db) == []
    form = (await merchant.get(ADD)).fields(ADD)
    await merchant.post(ADD, form | tried | {"api_key": KEYS["auto"]})
    assert "auto works" in (await merchant.post("/connections/auto/test")).said
    for page in (works, wrong, plain):
        assert KEYS["auto"] not in page.text
        assert "F" * 16 not in page.text


HTMX = {"HX-Request": "true"}


async def test_a_new_key_ends_a_suspension(merchant: Merchant, db: Database) -> None:
    await added(merchant, active="yes")
    async with db.transaction() as tx:
        await connections.suspend(tx, ID, "bad_key", "-2: no such key", datetime.now(UTC))
    grid = await merchant.get("/connections")
    assert "suspended bad key" in grid.row(ID)
    assert "-2: no such key" in grid.row(ID)
    refused = await merchant.post(f"{HERE}/sync")
    assert "is suspended" in refused.said
    form = (await merchant.get(HERE)).fields(HERE)
    page = await merchant.post(HERE, form | {"api_key": "F" * 16})
    assert "The new API key is kept" in page.said
    assert (await stored(db)).suspended_at is None
    bad = await merchant.post(HERE, page.fields(HERE) | {"api_key": "two words"})
    assert bad.status == 422
    assert "must be one word" in bad.said
    assert "two words" not in bad.text


async def test_synchronize_now_or_from_a_day(merchant: Merchant, db: Database) -> None:
    await added(merchant, active="yes")
    page = await merchant.post(f"{HERE}/sync", {"since": "2026-11-01"})
    assert "placed since 2026-11-01" in page.said
    async with db.connection() as conn:
        backfill = next(s for s in await looks.state(conn, ID) if s.look == "backfill")
    assert backfill.since == datetime(2026, 10, 31, 23, tzinfo=UTC)
    from_grid = await merchant.post(f"{HERE}/sync", {"back": "grid"})
    assert from_grid.path == "/connections"
    assert "since:" in (await merchant.post(f"{HERE}/sync", {"since": "yesterday"})).said
    await merchant.post(f"{HERE}/disable")
    assert "disabled" in (await merchant.get("/connections")).row(ID)
    assert "activate it first" in (await merchant.post(f"{HERE}/sync")).said


async def test_activation_beyond_the_plan_is_refused_with_advice(
    merchant: Merchant, db: Database
) -> None:
    for name in ("one", "two", "three"):
        await added(merchant, id=name)
    for name in ("one", "two"):
        await merchant.post(f"/connections/{name}/activate")
    advice = "your plan allows 2 active order connections; update the plan or disable another"
    assert advice in (await merchant.post("/connections/three/activate")).said
    form = (await merchant.get("/connections/three")).fields("/connections/three")
    by_form = await merchant.post("/connections/three", form | {"active": "yes"})
    assert by_form.status == 409
    assert advice in by_form.said
    new = (await merchant.get(ADD)).fields(ADD) | {"id": "four", "api_key": KEY, "active": "yes"}
    fourth = await merchant.post(ADD, new)
    assert fourth.status == 409
    assert advice in fourth.said
    assert "four" not in await all_ids(db)
    assert not (await stored(db, ConnectionId("three"))).settings.active
    plan = await merchant.get("/plan")
    assert "2 of 2" in plan.said
    assert "update the plan or disable another connection" in plan.said


async def test_a_name_is_taken_once_and_proposed_anew(merchant: Merchant, db: Database) -> None:
    await added(merchant, id="spartoo-fr")
    assert (await merchant.get(ADD)).value("id") == "spartoo-fr-2"
    form = (await merchant.get(ADD)).fields(ADD)
    again = await merchant.post(ADD, form | {"id": "spartoo-fr", "api_key": "F" * 16})
    assert again.status == 409
    assert "is there already" in again.said
    missing = await merchant.post(ADD, form | {"id": "", "api_key": ""})
    assert missing.status == 422
    assert missing.said.count("must be given") == 2
    assert await all_ids(db) == ["spartoo-fr"]


async def test_many_connections_are_paged_and_found_by_name(
    merchant: Merchant, db: Database
) -> None:
    async with db.transaction() as tx:
        for number in range(60):
            given = ConnectionSettings(id=f"shop-{number:02}")
            await connections.add(tx, merchant.parts.cipher, given, KEY, datetime.now(UTC))
            await budget.take(tx, ConnectionId(given.id), "xml_export_orders", 300)
    first = await merchant.get("/connections")
    (link,) = first.find("//a[@rel='next']/@href")
    second = await merchant.get(link)
    rows = first.find("//tbody//b/text()") + second.find("//tbody//b/text()")
    assert rows == [f"shop-{number:02}" for number in range(60)]
    assert "export orders: 299" in second.row("shop-59")
    found = await merchant.get("/connections?q=shop-5")
    assert len(found.find("//tbody/tr")) == 10
    assert "No name begins with" in (await merchant.get("/connections?q=other")).said
    assert (await merchant.get("/connections?cursor=x")).status == 400


async def test_where_there_are_many_connections_one_is_named_by_typing(
    merchant: Merchant, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_choice, "MOST_LISTED", 3)
    for number in range(3):
        await add_connection(db, settings(id=f"shop-{number}"))
    for path in ("/orders", "/returns", "/what-if"):
        page = await merchant.get(f"{path}?connection=shop-2")
        assert "shop-2" in page.find("//select[@name='connection']/option[@selected]/text()")
    await add_connection(db, settings(id="shop-3"))
    for path in ("/orders", "/returns", "/what-if"):
        page = await merchant.get(f"{path}?connection=shop-3")
        assert "shop-3" in page.find("//input[@name='connection']/@value")
        assert not page.find("//select[@name='connection']")
    assert (await merchant.get("/what-if?connection=none")).status == 404


async def test_script_in_every_field_is_text(merchant: Merchant, db: Database) -> None:
    form = (await merchant.get(ADD)).fields(ADD)
    texts = {name: MARKUP for name in form if name != "csrf"} | {"api_key": KEY}
    page = await merchant.post(ADD, texts)
    assert page.status == 422
    no_script(page, MARKER)
    assert page.value("id") == MARKUP
    await added(
        merchant,
        product_id_attribute=MARKER,
        shipping_services=f"{MARKER}\nUPS",
        default_shipping_service=MARKER,
        shipping_aliases=f"{MARKER} = UPS",
    )
    kept = await merchant.get(HERE)
    no_script(kept, MARKER)
    assert kept.value("product_id_attribute") == MARKER
    async with db.transaction() as tx:
        await connections.suspend(tx, ID, "bad_key", MARKUP, datetime.now(UTC))
    await merchant.post(f"{HERE}/activate")
    async with db.transaction() as tx:
        await connections.suspend(tx, ID, "bad_key", MARKUP, datetime.now(UTC))
    for path in ("/connections", HERE):
        no_script(await merchant.get(path), MARKER)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/connections/nobody", "no connection nobody"),
        ("/connections/%00", "nothing of that name"),
        ("/connections/_add/bazaar", "no marketplace bazaar"),
        ("/connections/_add/bazaar/fr", "no marketplace bazaar"),
        ("/connections/_add/spartoo/zz", "no site zz"),
    ],
)
async def test_what_is_not_there_is_said(merchant: Merchant, path: str, said: str) -> None:
    page = await merchant.get(path)
    assert page.status == 404
    assert said in page.said


async def test_a_form_without_the_token_changes_nothing(merchant: Merchant, db: Database) -> None:
    await added(merchant)
    for path in (HERE, f"{HERE}/activate", f"{HERE}/sync", f"{HERE}/test", ADD, f"{ADD}/test"):
        page = await merchant.post(path, {"csrf": "forged", "id": "two", "api_key": KEY})
        assert page.status == 403, path
    assert await all_ids(db) == [ID]
    assert not (await stored(db)).settings.active
