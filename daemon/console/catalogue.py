"""The catalogue: search, one product with who holds its stock, setting the stock."""

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from adapters.postgres import catalog as store
from adapters.postgres import imports, stock_pushes
from adapters.postgres.database import Conn
from adapters.postgres.words import found_whole
from daemon.console.addresses import listed, named, place
from daemon.console.visit import Complaint, Entry, Pages, Visit
from statemachine.connection import Slug
from statemachine.model import CatalogId, Product, ProductId

PAGES = Pages(Entry("Catalogue", "/catalogue"))

_SLUG: TypeAdapter[str] = TypeAdapter(Slug)
_IMPORTS_SHOWN = 5


@PAGES.get("/catalogue")
async def grid(visit: Visit) -> web.Response:
    """Products by id, or what a search finds."""
    catalog = catalog_named(visit.text("catalog") or "default")
    text, cursor = visit.text("q"), visit.text("cursor")
    async with visit.connection() as conn:
        page = await store.page(conn, catalog, text=text or None, cursor=cursor or None)
        names = await store.catalogs(conn)
        recent = await imports.recent(conn, _IMPORTS_SHOWN)
    kept = {"catalog": catalog, "q": text}
    more = {**kept, "cursor": page.next_cursor or ""}
    return await visit.page(
        "catalogue/grid.html",
        title="Catalogue",
        products=page.items,
        catalog=catalog,
        names=sorted({*names, catalog}),
        text=text,
        short=found_whole(text),
        imports=recent,
        page_of=page_of,
        first=listed("/catalogue", kept) if cursor else None,
        next=listed("/catalogue", more) if page.next_cursor else None,
    )


@PAGES.get("/catalogue/products/{catalog}/{product}")
async def show(visit: Visit) -> web.Response:
    """One product: its stock, and the orders that hold it."""
    async with visit.connection() as conn:
        product = await _known(visit, conn)
        reservations = await store.live_reservations(conn, product.catalog, [product.id])
        told = await stock_pushes.told(conn, product.catalog, [product.id])
    return await visit.page(
        "catalogue/product.html",
        title=product.name or product.id,
        product=product,
        reservations=[r for r in reservations if r.counts_against(product.as_of)],
        told_of=told,
        here=page_of(product),
        place=place,
    )


@PAGES.post("/catalogue/products/{catalog}/{product}/stock")
async def set_stock(visit: Visit) -> web.Response:
    """The stock as counted now."""
    async with visit.connection() as conn:
        product = await _known(visit, conn)
    stock = visit.text("stock")
    if not (stock.isascii() and stock.isdigit() and len(stock) <= len(str(2**31))):
        why = f"The stock stays as it is: {stock[:40]!r} is no whole number of units."
        return visit.go(page_of(product), why, kind="bad")
    fields = {"catalog": product.catalog, "product_id": product.id, "stock": int(stock)}
    outcome = await visit.carry_out({"command": "stock.set", **fields})
    if outcome.refused:
        return visit.go(page_of(product), outcome.message, kind="bad")
    async with visit.connection() as conn:
        now = await _known(visit, conn)
    return visit.go(page_of(product), f"The stock is {now.stock}, {now.available} available.")


def catalog_named(text: str) -> CatalogId:
    """A catalogue's name. Raises Complaint."""
    try:
        return CatalogId(_SLUG.validate_python(text))
    except ValidationError:
        raise Complaint(
            400, "A catalogue's name is letters, digits and hyphens, at most 63."
        ) from None


def page_of(product: Product) -> str:
    """Where a product is shown."""
    return place("/catalogue/products", product.catalog, product.id)


async def _known(visit: Visit, conn: Conn) -> Product:
    """The product the address names. Raises Complaint."""
    catalog = catalog_named(named(visit, "catalog"))
    product = ProductId(named(visit, "product"))
    found = await store.matching(conn, catalog, "id", [product], [], lock=False)
    if not found:
        raise Complaint(404, f"Catalogue {catalog} has no product {product}.")
    return found[0]
