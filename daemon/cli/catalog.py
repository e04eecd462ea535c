"""`spartoo-sync catalog`: what the store sells, and how many of it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from adapters.postgres import catalog as product_store
from adapters.postgres import stock_pushes
from adapters.postgres.database import Conn
from adapters.postgres.paging import Page
from adapters.postgres.stock_pushes import Told
from daemon.cli.asking import asked_by, command_id, tell
from daemon.cli.catalog_import import import_catalog
from daemon.cli.catalog_names import CatalogName
from daemon.cli.catalog_push import push_stock
from daemon.cli.command import Invocation, command
from daemon.cli.order_list import Cursor, Limit
from daemon.cli.output import note, show, table
from daemon.cli.times import AsOf
from daemon.command_messages import StockSet
from statemachine.facts import Refused
from statemachine.model import CatalogId, Product

group = typer.Typer(
    name="catalog",
    help="The catalogue orders are measured against: import, look, set stock, push it.",
    no_args_is_help=True,
)
command(group, "import")(import_catalog)
command(group, "push")(push_stock)

_COLUMNS = ("id", "sku", "ean", "name", "stock", "reserved", "available", "shortfall")
_MORE = ("final price", "original price", "currency", "as of", "attributes")
_TOLD = ("id", "connection", "units", "at", "waits", "why not")
_MOST_STOCK = 2**31 - 1


@command(group, "show")
async def show_products(
    invocation: Invocation,
    product: Annotated[
        str | None, typer.Argument(help="Id of one product; without it, all of them.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Start of an id, a SKU, an EAN, or words of a name.")
    ] = None,
    catalog: CatalogName = "default",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """Show products with their stock, what is reserved, available, and told to Spartoo."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        if product is not None:
            page = Page([await _product(conn, catalog, product)], None)
        else:
            page = await product_store.page(
                conn, CatalogId(catalog), text=text, limit=limit, cursor=cursor
            )
        ids = [p.id for p in page.items]
        told = await stock_pushes.told(conn, CatalogId(catalog), ids)
    document = {"items": [_document(p, told) for p in page.items], "next": page.next_cursor}
    show(document, as_json=invocation.as_json, render=lambda: _render(page, told, catalog))


async def _find(conn: Conn, catalog: str, product: str) -> Product | None:
    found = await product_store.matching(conn, CatalogId(catalog), "id", [product], [], lock=False)
    return found[0] if found else None


async def _product(conn: Conn, catalog: str, product: str) -> Product:
    found = await _find(conn, catalog, product)
    if found is None:
        raise Refused("unknown_product", f"catalogue {catalog} has no product {product}")
    return found


def _document(product: Product, told: Sequence[Told]) -> dict[str, Any]:
    return {
        **asdict(product),
        "available": product.available,
        "shortfall": product.shortfall,
        "pushes": [asdict(push) for push in told if push.product_id == product.id],
    }


def _render(page: Page[Product], told: Sequence[Told], catalog: str) -> Iterator[RenderableType]:
    if not page.items:
        yield f"no such products in catalogue {catalog}"
        return
    yield table((*_COLUMNS, *_MORE), [_row(product) for product in page.items])
    if told:
        yield Text("\ntold to the marketplace", style="bold")
        yield table(_TOLD, [_told(push) for push in told])
    if page.next_cursor:
        yield f"more: --cursor {page.next_cursor}"


def _row(product: Product) -> tuple[object, ...]:
    return (
        product.id,
        product.sku,
        product.ean,
        product.name,
        product.stock,
        product.reserved,
        product.available,
        product.shortfall,
        product.price_final_incl_tax,
        product.price_original_incl_tax,
        product.currency,
        product.as_of,
        ", ".join(f"{name}={value}" for name, value in product.attributes.items()),
    )


def _told(push: Told) -> tuple[object, ...]:
    waits = "" if push.due_at is None else "retry" if push.attempts else "yes"
    return push.product_id, push.connection, push.sent, push.pushed_at, waits, push.error


@command(group, "set-stock")
async def set_stock(
    invocation: Invocation,
    product: Annotated[str, typer.Argument(help="Id of the product; an unknown one is added.")],
    stock: Annotated[int, typer.Argument(min=0, max=_MOST_STOCK, help="Units in the store.")],
    as_of: AsOf = None,
    catalog: CatalogName = "default",
) -> None:
    """Set a product's stock; a number older (--as-of) than the one kept is ignored."""
    asked = StockSet(
        command="stock.set",
        id=command_id(),
        by=asked_by(),
        catalog=catalog,
        product_id=product,
        stock=stock,
        as_of=as_of,
    )
    async with invocation.parts() as parts:
        reply = await parts.desk.carry_out(asked)
        async with parts.database.connection() as conn:
            kept = await _product(conn, catalog, product)
        about = f"product {product}: stock {kept.stock}, available {kept.available}"
        await tell(invocation, parts, reply, about, "")
        if as_of is not None and kept.as_of is not None and as_of < kept.as_of:
            note(f"the number given was ignored: it is older than the one of {kept.as_of}")
