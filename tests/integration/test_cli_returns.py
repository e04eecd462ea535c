"""`spartoo-sync returns`: found, opened, decided about and labelled."""

from pathlib import Path

import pytest

from adapters.ports import Label
from adapters.postgres import actions, orders, quarantine, returns
from adapters.postgres.actions import StoredAction
from adapters.postgres.database import Database
from adapters.spartoo.label import LARGEST_LABEL
from statemachine.model import ActionKind, ActionStatus, ConnectionId, ReturnId
from statemachine.return_facts import AcceptReturn
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, ORDER_ID, RETURN_ID, ReturnStory, Story, product, settings

FR, DE = ConnectionId("shoes-fr"), ConnectionId("shoes-de")
LINK = "https://labels.example/1"
PDF = b"%PDF-1.4\n%%EOF\n"


async def store(db: Database, story: ReturnStory, connection: ConnectionId = FR) -> None:
    for changes in story.steps:
        async with db.transaction() as tx:
            await returns.record(tx, connection, [changes], {})


@pytest.fixture
async def requested(db: Database) -> ReturnStory:
    """Two connections, one return that waits."""
    for connection in (FR, DE):
        await add_connection(db, settings(id=connection))
    story = ReturnStory().seen()
    await store(db, story)
    return story


async def stored(db: Database) -> list[StoredAction]:
    async with db.connection() as conn:
        return await actions.find_of_return(conn, FR, RETURN_ID)


async def test_list_and_show(cli: Cli, db: Database, requested: ReturnStory) -> None:
    await store(db, ReturnStory().seen(return_id=ReturnId("2"), status=7, order_id="X"))
    listed = await cli("returns", "list", "--json")
    assert {item["return_id"] for item in listed.json["items"]} == {RETURN_ID, "2"}
    for filters in (["--state", "requested"], ["--order", ORDER_ID], ["--limit", 1]):
        ran = await cli("returns", "list", "--json", *filters)
        assert len(ran.json["items"]) == 1, filters
    assert "no returns" in (await cli("returns", "list", "--attention")).out
    table = (await cli("returns", "list")).out
    for part in (RETURN_ID, ORDER_ID, "requested", "too small", "98_38 Acme Boot 38 red"):
        assert part in table
    document = (await cli("returns", "show", RETURN_ID, "--json")).json
    assert [move["to"] for move in document["history"]] == ["requested"]
    assert document["item"]["reference"] == "98_38"
    shown = (await cli("returns", "show", FR, RETURN_ID)).out
    for part in ("requested", "Spartoo status 2", "too small", "history"):
        assert part in shown


async def test_an_order_shows_its_returns(cli: Cli, db: Database, requested: ReturnStory) -> None:
    story = Story(product()).seen(status=3)
    async with db.transaction() as tx:
        await orders.record(tx, settings(), story.steps, {})
    document = (await cli("orders", "show", ORDER_ID, "--json")).json
    assert [returned["return_id"] for returned in document["returns"]] == [RETURN_ID]
    assert "return.requested" in [event["type"] for event in document["events"]]
    assert RETURN_ID in (await cli("orders", "show", ORDER_ID)).out


@pytest.mark.parametrize("verb", ["accept", "refuse"])
async def test_decisions_are_stored(
    cli: Cli, db: Database, requested: ReturnStory, verb: str
) -> None:
    ran = await cli("returns", verb, RETURN_ID)
    assert ran.status == 0
    assert "Spartoo is told next" in ran.err
    assert "no daemon" in ran.err
    again = await cli("returns", verb, FR, RETURN_ID, "--json")
    assert (again.json["status"], again.json["return"]["state"]) == ("queued", "requested")
    (action,) = await stored(db)
    assert (action.kind, action.status) == (f"return_{verb}", ActionStatus.PENDING)
    assert action.requested_by.startswith("cli:")
    assert f"return_{verb}" in (await cli("returns", "show", RETURN_ID)).out


async def test_labels_are_stored(
    cli: Cli, db: Database, requested: ReturnStory, tmp_path: Path
) -> None:
    file = tmp_path / "label.pdf"
    file.write_bytes(PDF)
    for arguments, label in (
        (["--link", LINK], Label(link=LINK)),
        (["--file", file], Label(pdf=PDF)),
    ):
        ran = await cli("returns", "label", RETURN_ID, *arguments, "--json")
        assert (ran.status, ran.json["status"]) == (0, "queued")
        async with db.connection() as conn:
            assert await returns.label(conn, FR, RETURN_ID) == label
    (action,) = await stored(db)
    assert action.kind is ActionKind.RETURN_LABEL


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"GIF89a", "no PDF"),
        (b"", "no PDF"),
        (b"%PDF-" + bytes(LARGEST_LABEL), "at most"),
    ],
)
async def test_a_file_that_is_no_label(
    cli: Cli, db: Database, requested: ReturnStory, tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "label.pdf"
    file.write_bytes(content)
    ran = await cli("returns", "label", RETURN_ID, "--file", file, "--json")
    assert (ran.status, ran.error["code"]) == (1, "bad_command")
    assert why in ran.error["message"]
    assert await stored(db) == []


async def test_what_is_no_label_at_all(cli: Cli, requested: ReturnStory, tmp_path: Path) -> None:
    missing = await cli("returns", "label", RETURN_ID, "--file", tmp_path / "none.pdf", "--json")
    assert (missing.status, missing.error["code"]) == (1, "system_error")
    for link in ("no link", "ftp://labels.example/1", "https://a.example/" + "1" * 2000):
        ran = await cli("returns", "label", RETURN_ID, "--link", link, "--json")
        assert (ran.status, ran.error["code"]) == (1, "bad_command")
    for both in ([], ["--link", LINK, "--file", tmp_path / "none.pdf"]):
        ran = await cli("returns", "label", RETURN_ID, *both, "--json")
        assert (ran.status, ran.error["code"]) == (2, "bad_usage")


async def test_refusals(cli: Cli, db: Database, requested: ReturnStory) -> None:
    for verb in (["show"], ["accept"], ["refuse"], ["label", "--link", LINK]):
        unknown = await cli("returns", *verb, "FFFF", "--json")
        assert (unknown.status, unknown.error["code"]) == (1, "unknown_return")
        nobody = await cli("returns", *verb, "nobody", RETURN_ID, "--json")
        assert nobody.error["code"] == "unknown_connection"
    paid = ReturnStory().seen(return_id=ReturnId("2"), status=5)
    await store(db, paid)
    wrong = await cli("returns", "accept", "2", "--json")
    assert (wrong.status, wrong.error["code"]) == (1, "wrong_state")
    await store(db, ReturnStory(id=DE).seen(), DE)
    both = await cli("returns", "accept", RETURN_ID, "--json")
    assert (both.status, both.error["code"]) == (1, "ambiguous_return")
    assert (await cli("returns", "accept", DE, RETURN_ID)).status == 0
    assert await stored(db) == []


async def test_a_problem_needs_attention(cli: Cli, db: Database, requested: ReturnStory) -> None:
    story = ReturnStory()
    story.steps = list(requested.steps)
    story.does(AcceptReturn("ada")).rejected(ActionKind.RETURN_ACCEPT)
    for changes in story.steps[1:]:
        async with db.transaction() as tx:
            await returns.record(tx, FR, [changes], {})
    assert "attention: no" in (await cli("returns", "list", "--attention")).out
    assert "needs attention" in (await cli("returns", "show", RETURN_ID)).out
    assert (await cli("returns", "accept", RETURN_ID)).status == 0
    assert "no returns" in (await cli("returns", "list", "--attention")).out


async def test_a_return_in_quarantine_is_not_fetched_as_an_order(
    cli: Cli, db: Database, requested: ReturnStory
) -> None:
    key = returns.quarantine_key(ReturnId("9"))
    async with db.transaction() as tx:
        await quarantine.put(tx, FR, key, b"f" * 16, b"<return/>", "return_date: missing", NOW)
    ran = await cli("quarantine", "retry", key)
    assert ran.status == 0
    assert "the look that next finds it" in ran.err
    async with db.connection() as conn:
        assert await conn.fetchval("select count(*) from actions") == 0
        assert await returns.fingerprints(conn, FR, [ReturnId("9")]) == {}
