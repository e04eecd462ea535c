"""Pictures of the console's pages, wide and narrow, light and dark: `make screenshots`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.config import OrderKind
from adapters.spartoo.simulator.factory import catalog_line, unknown_line
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from adapters.spartoo.simulator.returns import ReturnStatus, ReturnWishes
from tests.fixtures.system import System

FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "screenshots"
SCREENS = (("wide", 1440, 900), ("narrow", 390, 844))
VARIANT = VARIANTS["98_38"]


@pytest.mark.timeout(600)  # some hundred pages
async def test_pages_have_their_picture_taken(offline: System, browser: Browser) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    offline.connect("shoes-fr", account="manual", open_look_interval=1)
    offline.connect("shoes-de", account="auto", auto_accept=True, open_look_interval=1)
    await offline.fill_catalogue(40)
    doubtful, shipped = place_orders(offline)
    daemon = await offline.run()
    await offline.reaches({doubtful.id: "pending_manual", shipped.id: "shipped"})
    url = await daemon.listening()
    pages = {
        "orders": "/orders",
        "pending": "/orders?state=pending_manual",
        "order": f"/orders/shoes-fr/{doubtful.id}/decision",
        "general": f"/orders/shoes-fr/{shipped.id}",
        "items": f"/orders/shoes-fr/{doubtful.id}/items",
        "refunds": f"/orders/shoes-fr/{shipped.id}/refunds",
        "shipments": f"/orders/shoes-fr/{shipped.id}/shipments",
        "communications": f"/orders/shoes-fr/{shipped.id}/communications",
        "nothing": "/orders?state=lost",
        "returns": "/returns",
        "connections": "/connections",
        "add-site": "/connections/_add/spartoo",
        "add-connection": "/connections/_add/spartoo/it",
        "connection": "/connections/shoes-de",
        "plan": "/plan",
        "catalogue": "/catalogue?q=98_",
        "product": "/catalogue/products/default/98_38",
        "import": "/catalogue/import",
        "what-if": "/what-if?connection=shoes-de&threshold=1.1&auto_accept=on",
        "quarantine": "/quarantine",
        "events": "/events",
    }
    for scheme in ("light", "dark"):
        for name, width, height in SCREENS:
            context = await browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                timezone_id="Europe/Paris",
                locale="en-GB",
            )
            page = await context.new_page()
            for title, path in pages.items():
                await take(page, url + path, FOLDER / f"{title}-{name}-{scheme}.png")
            await context.close()


async def take(page: Page, url: str, path: Path) -> None:
    async with page.expect_response("**/stream*"):
        await page.goto(url)
    if "/orders?" in url or url.endswith("/orders"):
        await page.keyboard.press("j")
        await page.keyboard.press("j")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), url
    await page.screenshot(path=path)


def place_orders(system: System) -> tuple[SimulatedOrder, SimulatedOrder]:
    """A morning's orders; one with every reason to wait, and one that came back."""
    now = datetime.now(UTC)
    for number in range(14):
        system.place("manual", kind="fine", at=now - timedelta(minutes=23 * number + 4))
    kinds: tuple[OrderKind, ...] = ("fine", "too_cheap", "fine", "unknown_product", "fine")
    for number, kind in enumerate(kinds * 3):
        system.place("auto", kind=kind, at=now - timedelta(minutes=19 * number + 9))
    lines = [
        catalog_line(VARIANT, 1),
        catalog_line(VARIANT, 100, percent=50),
        unknown_line("999_38"),
    ]
    (doubtful,) = system.place("manual", lines=lines, relay=True, at=now - timedelta(minutes=1))
    (shipped,) = system.place("manual", kind="fine", at=now - timedelta(hours=3))
    system.simulator.world.set_status(shipped, Status.IN_PREPARATION)
    system.simulator.world.set_status(shipped, Status.SHIPPED, "8R00123456789")
    system.simulator.world.create_return(shipped, ReturnWishes(status=ReturnStatus.REFUNDED))
    return doubtful, shipped
