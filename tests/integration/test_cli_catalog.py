"""`spartoo-sync catalog`: imported, shown, and stock set by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres import events
from adapters.postgres.database import Database
from adapters.spartoo.simulator import catalog_products
from tests.fixtures.cli import Cli


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    lines = [json.dumps(product) for product in catalog_products()]
    return written(tmp_path / "good.jsonl", "\n".join(lines))


async def shown(cli: Cli, *arguments: object) -> list[dict[str, Any]]:
    ran = await cli("catalog", "show", "--json", "--limit", 200, *arguments)
    assert ran.status == 0
    items: list[dict[str, Any]] = ran.json["items"]
    return items


async def test_import_takes_every_product_once(cli: Cli, db: Database, good: Path) -> None:
    count = len(catalog_products())
    ran = await cli("catalog", "import", good, "--json")
    assert ran.status == 0
    assert (ran.json["products"], ran.json["changed"], ran.json["bad_lines"]) == (count, count, 0)
    found = {product["id"]: product for product in await shown(cli)}
    assert found.keys() == {product["id"] for product in catalog_products()}
    assert found["98_38"]["price_final_incl_tax"] == "64.99"
    assert found["98_38"]["attributes"]["size"] == "38"
    again = await cli("catalog", "import", good)
    assert f"{count} products read" in again.err
    async with db.connection() as conn:
        logged = await events.after(conn, 0, 1000)
    assert len({event.subject for event in logged}) == len(logged)  # the second import moved none


async def test_bad_lines_are_told_by_number_and_the_others_kept(cli: Cli, tmp_path: Path) -> None:
    rows = [f"p{n},{'x' if n % 2 else n},9.99" for n in range(100)]
    file = written(tmp_path / "half.csv", "\n".join(["id,stock,price_final_incl_tax", *rows]))
    every = tmp_path / "errors.txt"
    ran = await cli("catalog", "import", file, "--catalog", "shop-2", "--errors", every)
    assert ran.status == 1
    assert ran.err.count("must be a whole number of units") == 20
    assert f"{file}, line 3: stock = 'x'" in ran.err
    assert "50 lines could not be read" in ran.err
    assert "50 products are kept" in ran.err
    assert str(every) in ran.err
    assert len(every.read_text().splitlines()) == 50
    assert len(await shown(cli, "--catalog", "shop-2")) == 50
    assert await shown(cli) == []
    told = await cli("catalog", "import", file, "--json")
    assert told.error["code"] == "bad_lines"
    assert told.json["bad_lines"] == 50
    assert told.json["first_errors"][0]["line"] == 3


@pytest.mark.parametrize("name", ["none.csv", "catalog.pdf", "foreign.xml"])
async def test_a_file_that_cannot_be_read_changes_nothing(
    cli: Cli, tmp_path: Path, name: str
) -> None:
    written(tmp_path / "catalog.pdf", "%PDF")
    written(tmp_path / "foreign.xml", "<orders/>")
    ran = await cli("catalog", "import", tmp_path / name, "--json")
    assert (ran.status, ran.out) == (1, "")
    assert ran.error["code"] == "unreadable_catalog"
    assert name in ran.error["message"]


async def test_show_finds_pages_and_refuses_what_is_not_there(cli: Cli, good: Path) -> None:
    await cli("catalog", "import", good)
    (one,) = await shown(cli, "98_38")
    assert (one["available"], one["reserved"], one["shortfall"]) == (one["stock"], 0, 0)
    assert {product["id"] for product in await shown(cli, "--text", "98_")} == {
        f"98_{size}" for size in range(36, 46)
    }
    page = await cli("catalog", "show", "--limit", 3)
    assert "more: --cursor " in page.out
    cursor = page.out.split("--cursor ")[1].split()[0]
    next_page = await cli("catalog", "show", "--limit", 3, "--cursor", cursor, "--json")
    assert next_page.json["items"][0]["id"] not in page.out
    none = await cli("catalog", "show", "nothing", "--json")
    assert (none.status, none.error["code"]) == (1, "unknown_product")
    assert "no such products" in (await cli("catalog", "show", "--catalog", "empty")).out


async def test_set_stock(cli: Cli) -> None:
    ran = await cli("catalog", "set-stock", "10001", 7, "--as-of", "2026-01-02T00:00:00Z")
    assert ran.status == 0
    assert "stock 7, available 7" in ran.err
    old = await cli("catalog", "set-stock", "10001", 9, "--as-of", "2026-01-01T00:00:00Z")
    assert old.status == 0
    assert "ignored" in old.err
    assert [product["stock"] for product in await shown(cli)] == [7]
    now = await cli("catalog", "set-stock", "10001", 8, "--json")
    assert now.json["status"] == "done"
    assert [product["stock"] for product in await shown(cli)] == [8]
    other = await cli("catalog", "set-stock", "10001", 1, "--catalog", "shop-2")
    assert other.status == 0
    assert [product["stock"] for product in await shown(cli)] == [8]
