"""Orders: the grid."""

from aiohttp import web

from daemon.console.visit import Entry, Pages, Visit

PAGES = Pages(Entry("Orders", "/orders"))


@PAGES.get("/")
async def home(visit: Visit) -> web.Response:
    """The console opens with the orders."""
    return visit.go("/orders")


@PAGES.get("/orders")
async def grid(visit: Visit) -> web.Response:
    """The grid."""
    return await visit.page("orders/grid.html", title="Orders")
