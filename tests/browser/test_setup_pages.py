"""What a merchant does in a real browser: set a connection up, import a catalogue, ask what if."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from tests.fixtures.browser import Person
from tests.fixtures.postgres import eventually
from tests.fixtures.system import KEYS, System

KEY = KEYS["manual"]
PAGES = (
    "/connections",
    "/connections/_add",
    "/connections/_add/spartoo",
    "/connections/_add/spartoo/fr",
    "/connections/manual",
    "/returns",
    "/catalogue",
    "/catalogue/import",
    "/catalogue/products/default/98_38",
    "/what-if?connection=manual&threshold=0.5&auto_accept=on",
    "/quarantine",
    "/events",
    "/plan",
)


async def started(system: System) -> str:
    return await (await system.run()).listening()


async def test_a_connection_is_added_tried_activated_and_synchronized(
    offline: System, person: Person
) -> None:
    url, page = await started(offline), person.page
    offline.place("manual", 2, kind="fine")
    await page.goto(f"{url}/connections")
    await page.get_by_role("link", name="Add connection").click()
    await page.get_by_role("link", name="Spartoo 23 country sites").click()
    await page.get_by_role("link", name="France fr · EUR").click()
    await page.get_by_label("Name", exact=True).fill("my-shop")
    await page.get_by_label("Address of the web services").fill(offline.simulator.url)
    await page.get_by_label("API key").fill("F" * 16)
    await page.get_by_role("button", name="Test the key").click()
    await expect(page.locator("#tested")).to_contain_text("-2")
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Test the key").click()
    await expect(page.locator("#tested")).to_contain_text("The key works")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    await page.get_by_label("Sync Orders Created From Date").fill(yesterday.isoformat())
    await page.get_by_role("button", name="Save connection").click()
    await expect(page.get_by_role("status").first).to_contain_text("not active yet")
    assert KEY not in await page.content()

    await page.get_by_role("button", name="Activate").click()
    await expect(page.get_by_role("status").first).to_contain_text("is active")
    await expect(page.locator(".count.pending")).to_have_text("2 pending")  # without a reload

    offline.place("manual", 1, kind="fine")
    await page.get_by_role("button", name="Synchronize Orders").click()
    await expect(page.get_by_role("status").first).to_contain_text("Looking now")
    await expect(page.locator(".count.pending")).to_have_text("3 pending")
    await page.goto(f"{url}/connections")
    await expect(page.locator("tbody tr")).to_contain_text("my-shop")
    await expect(page.locator("tbody .badge.active")).to_be_visible()


async def test_a_setting_is_changed_and_who_comes_late_is_told(
    offline: System, person: Person
) -> None:
    offline.connect("manual")
    url, page = await started(offline), person.page
    await page.goto(f"{url}/connections/manual")
    late = await page.context.new_page()
    await late.goto(f"{url}/connections/manual")

    await page.get_by_label("Price Attribute Threshold").fill("7")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was changed")
    await expect(page.get_by_label("Price Attribute Threshold")).to_have_value("7")
    await expect(page.locator(".wrong")).to_contain_text("at most 2")
    await page.get_by_label("Price Attribute Threshold").fill("0.9")
    await page.get_by_text("Looks and calls").click()
    await page.get_by_label("Time between fresh looks").fill("2m")
    await page.get_by_role("button", name="Save settings").click()
    await expect(page.get_by_role("status").first).to_contain_text("Settings saved")
    (row,) = await offline.rows(
        "select settings ->> 'price_threshold' as threshold, settings ->> 'poll_interval' as pause"
        " from connections"
    )
    assert (row["threshold"], row["pause"]) == ("0.9", "120")

    await late.get_by_label("Price Attribute Threshold").fill("0.8")
    await late.get_by_role("button", name="Save settings").click()
    await expect(late.get_by_role("status").first).to_contain_text("Somebody changed")
    await expect(late.locator(".help.changed").first).to_have_text("It is 0.9 now.")

    page.once("dialog", lambda dialog: dialog.dismiss())
    await page.get_by_role("button", name="Disable").click()
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Disable").click()
    await expect(page.get_by_role("status").first).to_contain_text("is disabled")


async def test_a_catalogue_is_imported_with_its_bad_line_reported(
    offline: System, person: Person, tmp_path: Path
) -> None:
    url, page = await started(offline), person.page
    await page.goto(f"{url}/catalogue")
    await page.get_by_role("link", name="Import a file").first.click()
    rows = [f"p{n},{'many' if n == 1234 else n % 50},Boot {n}" for n in range(5000)]
    content = "\n".join(["id,stock,name", *rows]).encode()
    await page.get_by_label("File", exact=True).set_input_files(
        {"name": "shoes.csv", "mimeType": "text/csv", "buffer": content}
    )
    await page.get_by_role("button", name="Import").click()
    await page.wait_for_url("**/catalogue/imports/*")
    told = page.locator("#progress .notice")
    await expect(told).to_contain_text("4,999 products are kept. 1 line could not be read")
    await expect(page.locator("#progress tbody tr")).to_contain_text("stock = 'many'")
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download the report").click()
    report = tmp_path / "report.txt"
    await (await downloading.value).save_as(report)
    assert report.read_text().splitlines()[1].startswith("line 1236: stock = 'many'")

    await page.goto(f"{url}/catalogue")
    await page.get_by_label("Search").fill("boot 499")
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(11)
    await page.get_by_role("link", name="p4999").click()
    await page.get_by_label("Units in the store now").fill("77")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").first).to_contain_text("The stock is 77")

    await page.goto(f"{url}/catalogue/import")
    await page.get_by_label("File", exact=True).set_input_files(
        {"name": "paper.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}
    )
    await page.get_by_role("button", name="Import").click()
    await expect(page.locator("#toast")).to_contain_text("name the file .csv")  # not reloaded
    assert "415" in person.complaints.pop()  # htmx says so too


async def test_what_if_answers_in_numbers_bars_and_links(offline: System, person: Person) -> None:
    offline.connect("auto", auto_accept=True)
    await offline.fill_catalogue(1000)
    now = datetime.now(UTC)
    line = catalog_line(VARIANTS["98_38"], 1)
    for days in range(4):
        offline.place("auto", 2, lines=[line], at=now - timedelta(days=days, hours=1))
    url, page = await started(offline), person.page

    async def synced() -> bool:
        states = list((await offline.states()).values())
        return len(states) == 8 and set(states) == {"synced"}

    await eventually(synced, 30)
    await page.goto(f"{url}/connections/auto")
    await page.get_by_role("link", name="What if").last.click()
    await page.get_by_label("Price Attribute Threshold").fill("1.5")
    await page.keyboard.press("Enter")
    await expect(page.locator(".figures")).to_contain_text("0 instead of 8")
    await expect(page.locator("svg.chart rect.was")).to_have_count(4)
    await expect(page.locator(".stacked tbody tr")).to_have_count(8)
    await page.locator(".stacked tbody a").first.click()
    await expect(page.locator("#order-head")).to_contain_text("synced")


async def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    found: int = await page.evaluate(script)
    return found


@pytest.mark.parametrize("width", [1440, 390])
async def test_every_page_fits_the_screen_and_names_its_fields(
    offline: System, person: Person, width: int
) -> None:
    offline.connect("manual")
    await offline.fill_catalogue(5)
    offline.place("manual", 3, kind="fine")
    url, page = await started(offline), person.page
    await page.set_viewport_size({"width": width, "height": 800})
    await expect_orders(offline)
    for path in PAGES:
        answer = await page.goto(url + path)
        assert answer is not None
        assert answer.status == 200, path
        await page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert await overflow(page) <= 0, path
        grids = page.locator(".stacked .scroll")  # on a phone their cells stand below each other
        cut = "grids => grids.filter(grid => grid.scrollWidth > grid.clientWidth).length"
        assert await grids.evaluate_all(cut) == 0, path
        nameless = page.locator("input:not([type=hidden]), select, textarea").filter(visible=True)
        for field in await nameless.all():
            labels: int = await field.evaluate("field => field.labels.length")
            assert labels == 1, (path, await field.get_attribute("name"))
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()


async def expect_orders(system: System) -> None:
    async def stored() -> bool:
        return len(await system.states()) == 3

    await eventually(stored, 30)
