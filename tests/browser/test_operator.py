"""What an operator does all day, in a real browser against the whole system."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Locator, Page, Route, expect

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from daemon.console.order_page import TABS
from tests.fixtures.browser import Person
from tests.fixtures.system import System

VARIANT = VARIANTS["98_38"]
TOKEN = "a token of the tests"
MARKUP = '<script>document.title="broken into"</script><img src=x onerror=alert(1)>'


async def started(system: System, **settings: Any) -> str:
    """The console's address; orders of `manual` wait for a person."""
    system.connect("manual", open_look_interval=1)
    await system.fill_catalogue(1000)
    return await (await system.run(**settings)).listening()


def row_of(page: Page, order: SimulatedOrder) -> Locator:
    return page.locator(f'tr[data-key="manual/{order.id}"]')


def while_the_list_is_replaced(page: Page, url: str) -> Callable[[Route], Awaitable[None]]:
    """Let a request go on only once the page has shown its list anew."""

    async def hold(route: Route) -> None:
        async with page.expect_response(f"{url}/orders"):
            await page.evaluate("document.dispatchEvent(new CustomEvent('console:orders'))")
        await route.continue_()

    return hold


async def test_only_who_knows_the_password_gets_in_until_they_leave(
    offline: System, person: Person
) -> None:
    url = await started(offline, http_token=TOKEN)
    page = person.page
    await page.goto(f"{url}/orders?state=pending_manual")
    await expect(page).to_have_url(f"{url}/login?next=%2Forders%3Fstate%3Dpending_manual")
    await page.get_by_label("Password").fill("another")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not the password")
    await page.get_by_label("Password").fill(TOKEN)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{url}/orders?state=pending_manual")
    cookies = await page.context.cookies()
    (session,) = [c for c in cookies if c.get("name") == "spartoo_sync_session"]
    assert (session.get("httpOnly"), session.get("sameSite")) == (True, "Strict")

    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(f"{url}/login")
    await page.context.add_cookies(
        [{"name": "spartoo_sync_session", "value": session["value"], "url": url}]
    )
    await page.goto(f"{url}/orders")  # a copy of the cookie is worth nothing
    await expect(page.get_by_label("Password")).to_be_visible()


async def test_orders_are_accepted_refused_and_shipped_by_keyboard_as_they_come(
    system: System, person: Person
) -> None:
    url = await started(system)
    page = person.page
    await page.goto(url)
    await expect(page.get_by_role("heading", name="No orders yet")).to_be_visible()

    orders = system.place("manual", 4, kind="fine")
    for order in orders:  # they come without a reload
        await expect(row_of(page, order)).to_contain_text("pending manual")
    await expect(page.locator(".count.pending")).to_have_text("4 pending")

    first = page.locator("#rows tr").first
    key = await first.get_attribute("data-key")
    assert key is not None
    await page.route("**/orders/bulk", while_the_list_is_replaced(page, url), times=1)
    await page.keyboard.press("j")
    await page.keyboard.press("a")
    await expect(page.locator("#report")).to_contain_text("1 order: Spartoo is told to accept it.")
    row = page.locator(f'tr[data-key="{key}"]')
    await expect(row).to_contain_text("synced")
    await expect(page.locator(".count.pending")).to_have_text("3 pending")

    await page.locator("#all").check()
    await page.keyboard.press("r")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("sold out")
    await dialog.get_by_role("button", name="Refuse 4").click()
    report = page.locator("#report")
    await expect(report).to_contain_text("3 orders: Spartoo is told to cancel them.")
    await expect(report.get_by_role("alert")).to_contain_text("wrong_state")
    refused = {order.id: "cancelled" for order in orders if not key.endswith(order.id)}
    await system.reaches(refused)
    await expect(page.locator("#rows .badge.cancelled")).to_have_count(3)

    await row.locator("td.customer").click()
    await page.keyboard.press("s")
    await expect(page.get_by_label("Tracking number")).to_be_focused()
    await page.keyboard.type("8R00123")
    await page.get_by_label("Shipping service").fill("colissimo")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").first).to_contain_text("told that it is shipped")
    await expect(page.locator("#order-head .badge")).to_have_text("shipped")  # without a reload
    await expect(page.locator(".diagram .box.now")).to_have_text("shipped")
    (shipped,) = [order for order in orders if key.endswith(order.id)]
    assert (shipped.status, shipped.tracking_number) == (Status.SHIPPED, "8R00123")


async def test_a_rows_box_is_ticked_by_mouse_finger_and_space(
    system: System, person: Person
) -> None:
    url = await started(system)
    orders = system.place("manual", 3, kind="fine")
    page = person.page
    await page.goto(f"{url}/orders")
    boxes = [row_of(page, order).get_by_role("checkbox") for order in orders]
    for box in boxes:
        await expect(box).to_be_visible()
    await boxes[0].click()
    await boxes[1].tap()
    await boxes[2].focus()
    await page.keyboard.press("Space")
    for box in boxes:
        await expect(box).to_be_checked()
    await expect(page.locator("#chosen")).to_have_text("3 selected")
    await boxes[0].click()
    await expect(page.locator("#chosen")).to_have_text("2 selected")


async def test_every_tab_is_read_and_markup_is_text(offline: System, person: Person) -> None:
    line = replace(catalog_line(VARIANT, 2), name=MARKUP)
    (order,) = offline.place("manual", lines=[line])
    order.billing = replace(order.billing, first_name=MARKUP)
    order.delivery = replace(order.delivery, city=MARKUP)
    url = await started(offline)
    await offline.reaches({order.id: "pending_manual"})
    page = person.page
    await page.goto(f"{url}/orders")
    await expect(row_of(page, order)).to_contain_text(MARKUP)
    await row_of(page, order).get_by_role("link").click()
    for name in TABS:
        await page.locator(".tabs").get_by_role("link", name=name).click()
        await expect(page.locator(".tabs [aria-current]")).to_contain_text(name.capitalize())
        await expect(page.locator("#order-tab")).not_to_be_empty()
        if name in {"general", "address", "items"}:
            await expect(page.locator("#order-tab")).to_contain_text(MARKUP)
    await page.locator(".tabs").get_by_role("link", name="comments").click()
    await page.get_by_role("textbox", name="Comment").fill(f"called back {MARKUP}")
    await page.get_by_role("button", name="Keep comment").click()
    await expect(page.locator("article.comment")).to_contain_text(f"called back {MARKUP}")
    assert order.id in await page.title()

    await page.goto(f"{url}/orders")
    await page.get_by_label("Search").fill(order.delivery.last_name)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/orders?*search=*")
    assert order.delivery.last_name not in urlsplit(page.url).query  # no customer in an address
    await expect(page.get_by_label("Search")).to_have_value(order.delivery.last_name)


async def test_the_daemon_stops_though_pages_watch(offline: System, person: Person) -> None:
    url = await started(offline)
    async with person.page.expect_response("**/stream"):
        await person.page.goto(f"{url}/orders")
    (daemon,) = offline.daemons
    assert await daemon.terminate() == 0
