"""Products and their stock."""

from dataclasses import asdict
from typing import Any

from aiohttp import web
from pydantic import ConfigDict, Field

from adapters.postgres import catalog as store
from daemon.api.commands import command
from daemon.api.filters import PageWanted
from daemon.api.routes import Answer, Asked, Routes
from daemon.api.shapes import ProductDocument, answer, list_of, ref
from daemon.command_fields import Text
from daemon.command_messages import CatalogUpsert, StockSet
from statemachine.connection import Slug
from statemachine.model import CatalogId, Product

routes = Routes()


class ProductsTold(CatalogUpsert):
    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema["properties"].update(
            products={"type": "array", "items": ref("product")}
        )
    )


class ProductsWanted(PageWanted):
    catalog: Slug = Field("default", description="Of this catalogue")
    q: Text | None = Field(
        None,
        description="Start of an id, a SKU, an EAN, or words of a name; the last may be begun, from"
        " three characters on",
    )


@routes.add("GET", "/products", ProductsWanted, {200: Answer("By id", list_of(ProductDocument))})
async def list_products(asked: Asked, wanted: ProductsWanted) -> web.Response:
    """Find products of a catalogue."""
    async with asked.parts.database.connection() as conn:
        page = await store.page(
            conn,
            CatalogId(wanted.catalog),
            text=wanted.q,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )
    items = [_document(product) for product in page.items]
    return answer({"items": items, "next": page.next_cursor})


def _document(product: Product) -> dict[str, Any]:
    return asdict(product) | {"available": product.available, "shortfall": product.shortfall}


command(
    routes, "PUT", "/products", ProductsTold, "catalog.upsert",
    "Tell what the store says of its products; what is left out stays as it is",
    in_query=("catalog",),
)  # fmt: skip
command(
    routes, "PUT", "/products/{product_id}/stock", StockSet, "stock.set",
    "Set the stock of one product",
    in_query=("catalog",),
)  # fmt: skip
