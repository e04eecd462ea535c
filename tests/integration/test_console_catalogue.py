"""The catalogue in the console: searched, stock set, files imported with a report."""

import asyncio
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import aiohttp
import pytest

from adapters.postgres import catalog, events, imports, orders
from adapters.postgres.database import Database
from daemon import uploads
from daemon.products import upsert_products
from daemon.uploads import MOST_ERRORS
from statemachine.model import CatalogId, Product, ProductId, ProductUpdate
from tests.fixtures.merchant import Merchant, Page, no_script
from tests.fixtures.postgres import add_connection, eventually, may_stand_idle
from tests.unit.builders import NOW, ORDER_ID, Story, product, settings

DEFAULT = CatalogId("default")
IMPORT = "/catalogue/import"
MARKUP = "<script>alert(1)</script>"
MULTIPART = "multipart/form-data; boundary=b"


async def keep(db: Database, *updates: ProductUpdate, name: str = "default") -> None:
    async with db.transaction() as tx:
        await upsert_products(tx, CatalogId(name), updates, NOW)


async def products(db: Database, name: str = "default") -> dict[str, Product]:
    async with db.connection() as conn:
        page = await catalog.page(conn, CatalogId(name), limit=1000)
    return {found.id: found for found in page.items}


def update(product_id: str, **given: object) -> ProductUpdate:
    return ProductUpdate(ProductId(product_id), **given)  # type: ignore[arg-type] # names its fields


def shown(page: Page) -> list[str]:
    return [link.text_content() for link in page.find("//tbody/tr/td[1]/a")]


async def test_products_are_found_by_id_sku_ean_and_words_of_the_name(
    merchant: Merchant, db: Database
) -> None:
    assert "No products in default" in (await merchant.get("/catalogue")).said
    await keep(
        db,
        update("98_38", sku="BOOT-38", ean="2000000000015", name="Élodie boots", stock=3),
        update("98_39", sku="BOOT-39", ean="2000000000022", name="Élodie boots", stock=0),
        update("a/b c", name="Bruine 100%", stock=1),
    )
    assert shown(await merchant.get("/catalogue")) == ["98_38", "98_39", "a/b c"]
    for text, found in (
        ("98_", ["98_38", "98_39"]),
        ("BOOT-39", ["98_39"]),
        ("2000000000015", ["98_38"]),
        ("boots élod", ["98_38", "98_39"]),
        ("bruine 100", ["a/b c"]),
        ("oots", []),
        ("%", []),
    ):
        page = await merchant.get(f"/catalogue?q={quote(text)}")
        assert shown(page) == found, text
    (link,) = (await merchant.get("/catalogue?q=a/b")).find("//tbody/tr/td[1]/a/@href")
    assert "Bruine 100%" in (await merchant.get(link)).said


async def test_pages_follow_one_another(merchant: Merchant, db: Database) -> None:
    await keep(db, *(update(f"p{n:03}", name="Boot", stock=n) for n in range(120)))
    seen, path = [], "/catalogue?q=boot"
    while path:
        page = await merchant.get(path)
        seen += shown(page)
        path = next(iter(page.find("//a[@rel='next']/@href")), "")
    assert seen == [f"p{n:03}" for n in range(120)]
    assert (await merchant.get("/catalogue?cursor=x")).status == 400


async def test_a_product_shows_who_holds_it_and_its_stock_is_set(
    merchant: Merchant, db: Database
) -> None:
    await add_connection(db, settings())
    story = Story(product()).seen()
    await keep(db, update(product().id, stock=5, name="Boot", as_of=NOW))
    async with db.transaction() as tx:
        await orders.record(tx, settings(), story.steps, {})
    here = f"/catalogue/products/default/{product().id}"
    page = await merchant.get(here)
    assert ORDER_ID in page.row(ORDER_ID)
    assert "shoes-fr 1 not yet" in page.row(ORDER_ID)
    told = await merchant.post(f"{here}/stock", {"stock": "0"})
    assert "The stock is 0, 0 available" in told.said
    assert (await products(db))[product().id].shortfall == 1
    assert "short 1" in (await merchant.get("/catalogue")).row(product().id)
    for wrong in ("-1", "many", "1.5", "", "9" * 30, "²", MARKUP):
        refused = await merchant.post(f"{here}/stock", {"stock": wrong})
        assert "stays as it is" in refused.said, wrong
        no_script(refused, "whole number")
    assert (await products(db))[product().id].stock == 0
    too_many = await merchant.post(f"{here}/stock", {"stock": str(2**31)})
    assert "at most 2147483647" in too_many.said


async def imported(merchant: Merchant, name: str, content: bytes, **fields: str) -> Page:
    """Upload a file and wait for its report."""
    page = await merchant.upload(IMPORT, name, content, **fields)
    assert page.status == 200, page.said
    assert page.path.startswith("/catalogue/imports/")
    return await over(merchant, page.path)


async def over(merchant: Merchant, path: str) -> Page:
    async def ended() -> bool:
        return not (await merchant.get(path)).find("//*[@id='bar']")

    await eventually(ended, 60)  # asked within the loop that imports
    return await merchant.get(path)


GOOD = {
    "shoes.csv": b"id,sku,stock,attributes.color\np1,s1,3,red\np2,s2,4,\n",
    "shoes.TSV": b"id\tsku\tstock\np1\ts1\t3\np2\ts2\t4\n",
    "shoes.jsonl": b'{"id": "p1", "stock": 3, "sku": "s1"}\n{"id": "p2", "stock": 4}\n',
    "shoes.xml": b"<catalog><product><id>p1</id><stock>3</stock><sku>s1</sku></product>"
    b"<product><id>p2</id><stock>4</stock></product></catalog>",
}


@pytest.mark.parametrize("name", GOOD)
async def test_a_file_of_every_kind_is_taken_in(
    merchant: Merchant, db: Database, name: str
) -> None:
    page = await imported(merchant, name, GOOD[name], catalog="shop-2")
    assert "Every line was read: 2 products are kept" in page.said
    found = await products(db, "shop-2")
    assert [(p.id, p.stock) for p in found.values()] == [("p1", 3), ("p2", 4)]
    assert found["p1"].sku == "s1"
    listed = await merchant.get("/catalogue?catalog=shop-2")
    assert shown(listed)[:2] == ["p1", "p2"]
    assert f"{name} shop-2" in listed.said
    await imported(merchant, name, GOOD[name], catalog="shop-2")
    async with db.connection() as conn:
        assert len(await events.newest(conn, None, 10)) == 2  # the second import moved nothing


async def test_bad_lines_are_told_with_numbers_and_the_good_ones_kept(
    merchant: Merchant, db: Database
) -> None:
    rows = [f"p{n},{'x' if n % 2 else n}" for n in range(600)]
    content = "\n".join(["id,stock", *rows, f'{MARKUP},1,"too, many"']).encode()
    page = await imported(merchant, "half.csv", content)
    assert "300 products are kept. 301 lines could not be read" in page.said
    assert "stock = 'x': must be a whole number" in page.row(" p1,x")
    assert "The first 100 of 301" in page.said
    assert len(await products(db)) == 300
    (link,) = page.find("//a[@download]/@href")
    report = await merchant.get(link)
    assert report.headers["Content-Disposition"].startswith("attachment")
    assert report.headers["Content-Type"].startswith("text/plain")
    assert report.headers["X-Content-Type-Options"] == "nosniff"
    lines = report.text.splitlines()
    assert len(lines) == 302
    assert lines[1].startswith("line 3: stock = 'x'")
    assert lines[-1].startswith("line 602: ")
    assert MARKUP in lines[-1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("paper.csv", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "unknown"),
        ("picture.xml", b"\x89PNG\r\n\x1a\n\0\0\0", "not XML"),
        ("orders.xml", b"<orders/>", "expected <catalog>"),
        ("dtd.xml", b'<!DOCTYPE c [<!ENTITY a "b">]><catalog/>', "document type"),
        ("empty.csv", b"", ""),
    ],
)
async def test_a_file_that_is_not_what_it_says_changes_nothing(
    merchant: Merchant, db: Database, name: str, content: bytes, said: str
) -> None:
    page = await imported(merchant, name, content)
    assert said in page.said
    assert "/tmp" not in page.text
    assert "Every line was read" not in page.said
    assert "Nothing was changed" in page.said
    assert await products(db) == {}


async def test_a_csv_with_the_name_of_json_lines_is_bad_line_by_line(
    merchant: Merchant, db: Database
) -> None:
    page = await imported(merchant, "shoes.jsonl", b"id,stock\np1,3\n" + b'{"id": "p2"}\n')
    assert "1 product is kept. 2 lines could not be read" in page.said
    assert list(await products(db)) == ["p2"]


async def test_xml_that_breaks_off_keeps_what_came_before(merchant: Merchant, db: Database) -> None:
    page = await imported(merchant, "cut.xml", b"<catalog><product><id>p1</id></product><prod")
    assert "1 product is kept. 1 line could not be read" in page.said
    assert list(await products(db)) == ["p1"]


@pytest.mark.parametrize("name", ["shoes.pdf", "shoes", ".csv.exe", f"{MARKUP}.html"])
async def test_a_kind_nobody_reads_is_refused(merchant: Merchant, db: Database, name: str) -> None:
    page = await merchant.upload(IMPORT, name, b"id\np1\n")
    assert page.status == 415
    assert "Nothing was changed" in page.said
    assert await products(db) == {}


async def test_a_name_with_markup_or_a_path_is_shown_as_text(merchant: Merchant) -> None:
    page = await imported(merchant, "../../<b>x</b>.csv", b"id\np1\n")
    assert page.find("//h1")[0].text_content() == "Import of b>.csv"
    no_script(await imported(merchant, "<script>alert(1).csv", b"id\np1\n"), "<script>alert(1).csv")


async def test_what_is_too_large_is_refused_and_leaves_no_file(
    merchant: Merchant, db: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(uploads, "LARGEST_UPLOAD", 300_000)
    monkeypatch.setattr("daemon.console.catalogue_import.LARGEST_UPLOAD", 300_000)
    lines = b"id\n" + b"".join(b"p%06d\n" % n for n in range(30_000))
    fits = await imported(merchant, "fits.csv", lines)
    assert "Every line was read: 30,000 products" in fits.said
    page = await merchant.upload(IMPORT, "large.csv", lines + lines[:100_000])
    assert page.status == 413
    assert "Nothing was changed" in page.said
    announced = await merchant.upload(IMPORT, "huge.csv", lines * 5)
    assert announced.status == 413
    async with db.connection() as conn:
        assert [found.file for found in await imports.recent(conn, 10)] == ["fits.csv"]

    async def removed() -> bool:
        return not list(tmp_path.glob("uploads/*"))  # noqa: ASYNC240 - of a few files

    await eventually(removed)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (MULTIPART, b"--b\r\nno header\r\n\r\nx\r\n--b--\r\n"),
        (MULTIPART, b"no boundary"),
        ("multipart/form-data", b"x"),
    ],
)
@pytest.mark.parametrize("path", [IMPORT, "/orders"])
async def test_broken_forms_are_refused(
    merchant: Merchant, path: str, kind: str, body: bytes
) -> None:
    headers = {"Content-Type": kind, "X-CSRF-Token": await merchant.csrf()}
    assert (await merchant.send(path, body, **headers)).status == 400


async def test_wrong_forms_are_refused(merchant: Merchant, db: Database) -> None:
    assert (await merchant.post(IMPORT, {"catalog": "default"})).status == 415
    nothing = aiohttp.FormData({"csrf": await merchant.csrf(), "catalog": "x"})
    nothing.add_field("file", b"", filename="")
    assert "Choose a file" in (await merchant.send(IMPORT, nothing)).said
    for name in ("a b", MARKUP, "x" * 300):
        page = await merchant.upload(IMPORT, "shoes.csv", b"id\np1\n", catalog=name)
        assert page.status == 400
        assert "letters, digits and hyphens" in page.said
    forged = await merchant.upload(IMPORT, "shoes.csv", b"id\np1\n", csrf="forged")
    assert forged.status == 403
    for path in ("x", str(uuid4())):
        assert (await merchant.get(f"/catalogue/imports/{path}")).status == 404
    assert (await merchant.get("/catalogue?catalog=a%20b")).status == 400
    assert (await merchant.get("/catalogue/products/default/none")).status == 404
    assert await products(db) == {}


async def test_a_file_that_finds_no_room_is_refused_before_it_is_read(
    merchant: Merchant, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "KEPT_FREE", 1 << 60)
    page = await merchant.upload(IMPORT, "shoes.csv", b"id\np1\n")
    assert page.status == 507
    assert "no room for the file" in page.said
    assert "MiB more must be free" in page.said
    assert await products(db) == {}


async def test_few_files_are_read_at_once(merchant: Merchant, db: Database) -> None:
    async with db.transaction() as tx:
        await may_stand_idle(tx)
        await catalog.lock(tx, DEFAULT, [])  # nobody writes the catalogue meanwhile
        at_once = (merchant.upload(IMPORT, f"{n}.csv", b"id\np1\n") for n in range(4))
        uploaded = await asyncio.gather(*at_once)
        held = [page for page in uploaded if page.status == 200]
        refused = [page for page in uploaded if page.status == 503]
        assert (len(held), len(refused)) == (2, 2)
        assert all("Wait until one is done" in page.said for page in refused)
    for page in held:
        assert "1 product is kept" in (await over(merchant, page.path)).said
    assert list(await products(db)) == ["p1"]


async def test_an_import_whose_daemon_ended_is_shown_as_stopped(
    merchant: Merchant, db: Database
) -> None:
    async with db.transaction() as tx:
        await imports.begin(tx, (one := uuid4()), DEFAULT, "shoes.csv", 10, "console")
        await tx.execute("update imports set touched_at = touched_at - interval '2 minutes'")
    page = await merchant.get(f"/catalogue/imports/{one}")
    assert "ended before it was through. 0 products are kept" in page.said
    assert "stopped" in (await merchant.get("/catalogue")).row("shoes.csv")


async def test_of_very_many_bad_lines_the_first_are_kept(merchant: Merchant, db: Database) -> None:
    content = b"id,stock\n" + b"p,x\n" * (MOST_ERRORS + 600)
    page = await imported(merchant, "bad.csv", content)
    assert "0 products are kept. 10,600 lines could not be read" in page.said
    async with db.connection() as conn:
        kept = await imports.errors(conn, UUID(page.path.rpartition("/")[2]), limit=2 * MOST_ERRORS)
    assert [bad.line for bad in kept] == list(range(2, MOST_ERRORS + 2))
    report = await merchant.get(f"{page.path}/errors.txt")
    told = [line.partition(":")[0] for line in report.text.splitlines()]
    assert told == ["bad.csv", *(f"line {bad.line}" for bad in kept), "and 600 more"]
