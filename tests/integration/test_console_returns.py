"""Returns in the console: filtered, opened, decided about, given a label."""

import pytest

from adapters.ports import Label
from adapters.postgres import actions, returns
from adapters.postgres.actions import StoredAction
from adapters.postgres.database import Database
from adapters.spartoo.label import LARGEST_LABEL
from statemachine.model import ActionKind, ActionStatus, ConnectionId, ReturnId, ReturnItem
from tests.fixtures.merchant import Merchant, Page, no_script
from tests.fixtures.postgres import add_connection
from tests.unit.builders import ORDER_ID, RETURN_ID, ReturnStory, settings

FR, DE = ConnectionId("shoes-fr"), ConnectionId("shoes-de")
HERE = f"/returns/{FR}/{RETURN_ID}"
MARKUP = "<script>alert(1)</script>"
PDF = b"%PDF-1.4\n%%EOF\n"


async def store(db: Database, story: ReturnStory, connection: ConnectionId = FR) -> None:
    for changes in story.steps:
        async with db.transaction() as tx:
            await returns.record(tx, connection, [changes], {})


@pytest.fixture
async def requested(db: Database) -> None:
    """Two connections, one return that waits."""
    for connection in (FR, DE):
        await add_connection(db, settings(id=connection))
    await store(db, ReturnStory().seen())


async def stored(db: Database) -> list[StoredAction]:
    async with db.connection() as conn:
        return await actions.find_of_return(conn, FR, RETURN_ID)


def shown(page: Page) -> list[str]:
    return [link.text_content() for link in page.find("//tbody/tr/td[1]/a")]


async def test_the_grid_filters_and_pages(
    merchant: Merchant, db: Database, requested: None
) -> None:
    await store(db, ReturnStory().seen(return_id=ReturnId("R2"), status=7, order_id="X"))
    await store(db, ReturnStory(id=DE).seen(return_id=ReturnId("R3")), DE)
    everything = await merchant.get("/returns")
    assert sorted(shown(everything)) == sorted([RETURN_ID, "R2", "R3"])
    assert "98_38 · 38 · red" in everything.row("R3")
    for query, found in (
        (f"connection={DE}", ["R3"]),
        ("state=refunded", ["R2"]),
        (f"order={ORDER_ID}&connection={FR}", [RETURN_ID]),
        ("attention=yes", []),
    ):
        page = await merchant.get(f"/returns?{query}")
        assert shown(page) == found, query
    assert "No return fits" in page.said
    for number in range(60):
        story = ReturnStory().seen(return_id=ReturnId(f"N{number:02}"))
        await store(db, story)
    first = await merchant.get(f"/returns?connection={FR}")
    (link,) = first.find("//a[@rel='next']/@href")
    second = await merchant.get(link)
    assert len(set(shown(first) + shown(second))) == 62
    for query in ("state=lost", "cursor=x"):
        assert (await merchant.get(f"/returns?{query}")).status == 400


async def test_an_empty_grid_says_where_returns_come_from(merchant: Merchant) -> None:
    assert "appear here with the next open look" in (await merchant.get("/returns")).said


async def test_accepting_tells_spartoo_once(
    merchant: Merchant, db: Database, requested: None
) -> None:
    page = await merchant.get(HERE)
    for text in ("requested", "too small", "98_38", "The customer has none yet", "by marketplace"):
        assert text in page.said
    (command_id,) = page.find("//form//input[@name='id']/@value")
    for _ in range(2):
        told = await merchant.post(f"{HERE}/accept", {"id": command_id})
        assert "is accepted as soon as Spartoo has said so" in told.said
    (action,) = await stored(db)
    assert (action.kind, action.status) == (ActionKind.RETURN_ACCEPT, ActionStatus.PENDING)
    assert action.requested_by == "console"
    assert "accept waits" in (await merchant.get("/returns")).row(RETURN_ID)


async def test_refusing_and_then_what_is_possible(
    merchant: Merchant, db: Database, requested: None
) -> None:
    assert "refused as soon as" in (await merchant.post(f"{HERE}/refuse")).said
    await store(db, ReturnStory().seen(return_id=ReturnId("R2"), status=7))
    over = await merchant.get(f"/returns/{FR}/R2")
    assert not over.find("//button[contains(@formaction, 'accept')]")
    refused = await merchant.post(f"/returns/{FR}/R2/accept")
    assert refused.find("//p[contains(@class, 'bad')]")
    assert "refunded" in refused.said


async def test_a_label_by_link_or_file(merchant: Merchant, db: Database, requested: None) -> None:
    link = "https://labels.example/1"
    sent = await merchant.upload(f"{HERE}/label", "", b"", "label_file", label_link=link)
    assert "The label is sent to Spartoo" in sent.said
    async with db.connection() as conn:
        assert await returns.label(conn, FR, RETURN_ID) == Label(link=link)
    large = PDF + b"\0" * (2 << 20)
    sent = await merchant.upload(f"{HERE}/label", "label.pdf", large, "label_file", label_link="")
    assert "The label is sent to Spartoo" in sent.said
    async with db.connection() as conn:
        assert await returns.label(conn, FR, RETURN_ID) == Label(pdf=large)


@pytest.mark.parametrize(
    ("link", "name", "content", "status", "said"),
    [
        ("", "", b"", 400, "Give a link to the label, or a PDF"),
        ("https://labels.example/1", "label.pdf", PDF, 400, "not both"),
        ("javascript:alert(1)", "", b"", 200, "must be an address"),
        ("https://labels.example/" + "x" * 2000, "", b"", 200, "at most 2000"),
        ("x" * 5000, "", b"", 413, "Too large"),
        ("", "label.pdf", b"<html>", 200, "no PDF"),
        ("", "label.pdf", PDF + b"\0" * LARGEST_LABEL, 413, "at most 5 MiB"),
    ],
)
async def test_what_is_no_label_changes_nothing(
    merchant: Merchant,
    db: Database,
    requested: None,
    link: str,
    name: str,
    content: bytes,
    status: int,
    said: str,
) -> None:
    page = await merchant.upload(f"{HERE}/label", name, content, "label_file", label_link=link)
    assert page.status == status
    assert said in page.said
    assert await stored(db) == []


async def test_markup_from_spartoo_is_text(merchant: Merchant, db: Database) -> None:
    await add_connection(db, settings())
    item = ReturnItem(MARKUP, 1, MARKUP, MARKUP, MARKUP, MARKUP)
    await store(db, ReturnStory().seen(reason=MARKUP, item=item, order_id=MARKUP))
    for path in ("/returns", HERE):
        page = await merchant.get(path)
        no_script(page, MARKUP)
    odd = ReturnId("a/b?c#d%")
    await store(db, ReturnStory().seen(return_id=odd))
    (link,) = (await merchant.get("/returns")).find(f"//tbody//a[b='{odd}']/@href")
    assert f"Return {odd}" in (await merchant.get(link)).said
    assert (await merchant.get(f"/returns/{FR}/none")).status == 404
    assert (await merchant.post(f"{HERE}/accept", {"csrf": "forged"})).status == 403
