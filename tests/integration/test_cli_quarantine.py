"""`spartoo-sync quarantine`: what cannot be read, shown and tried again."""

import pytest

from adapters.postgres import actions, orders, quarantine
from adapters.postgres.database import Database
from statemachine.model import ActionKind, ConnectionId, OrderId
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, settings

FR, DE = ConnectionId("shoes-fr"), ConnectionId("shoes-de")
KNOWN, NAMELESS = "3FF75E96C3434E92", "unreadable-0011223344556677"
XML = "<order><customers>Zoé \x1b[2J</customers></order>"
WHY = "products_qty = 'two': must be a whole number"


@pytest.fixture
async def entries(db: Database) -> Database:
    for connection in (FR, DE):
        await add_connection(db, settings(id=connection))
    async with db.transaction() as tx:
        for connection, key in ((FR, KNOWN), (FR, NAMELESS), (DE, NAMELESS)):
            await quarantine.put(tx, connection, key, b"f" * 16, XML.encode(), WHY, NOW)
    return db


async def test_list_and_show(cli: Cli, entries: Database) -> None:
    everything = (await cli("quarantine", "list", "--json")).json["items"]
    assert {(e["connection"], e["order_id"]) for e in everything} == {
        (FR, KNOWN),
        (FR, NAMELESS),
        (DE, NAMELESS),
    }
    assert len((await cli("quarantine", "list", "--connection", DE, "--json")).json["items"]) == 1
    first = await cli("quarantine", "list", "--limit", 1)
    assert WHY in first.out
    assert "more: --cursor" in first.out
    document = (await cli("quarantine", "show", KNOWN, "--json")).json
    assert (document["error"], document["xml"]) == (WHY, XML)
    shown = (await cli("quarantine", "show", KNOWN)).out
    assert WHY in shown
    assert "<customers>Zoé" in shown
    assert "\x1b" not in shown


async def test_retry_reads_it_again_and_fetches_it_where_its_id_is_known(
    cli: Cli, entries: Database
) -> None:
    ran = await cli("quarantine", "retry", KNOWN, "--json")
    assert (ran.status, ran.json["fetch"]) == (0, True)
    assert "no daemon" in ran.err
    nameless = await cli("quarantine", "retry", FR, NAMELESS)
    assert nameless.status == 0
    assert "next finds it" in nameless.err
    async with entries.connection() as conn:
        known = [OrderId(KNOWN), OrderId(NAMELESS)]
        assert await orders.fingerprints(conn, FR, known) == {}
        assert list(await orders.fingerprints(conn, DE, known)) == [NAMELESS]
        (action,) = await actions.find(conn, FR, OrderId(KNOWN))
        assert action.kind is ActionKind.FETCH
        assert await actions.find(conn, FR, OrderId(NAMELESS)) == []


async def test_unknown_and_ambiguous_entries(cli: Cli, entries: Database) -> None:
    for verb in ("show", "retry"):
        unknown = await cli("quarantine", verb, "FFFF", "--json")
        assert (unknown.status, unknown.error["code"]) == (1, "unknown_order")
        ambiguous = await cli("quarantine", verb, NAMELESS, "--json")
        assert (ambiguous.status, ambiguous.error["code"]) == (1, "ambiguous_order")
        assert f"{DE} and {FR}" in ambiguous.error["message"]
        nobody = await cli("quarantine", verb, "nobody", KNOWN, "--json")
        assert nobody.error["code"] == "unknown_connection"
    assert (
        "no orders in quarantine"
        in (await cli("quarantine", "list", "--cursor", "WyJ6IiwieiJd")).out
    )
