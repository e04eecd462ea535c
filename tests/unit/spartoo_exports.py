"""Exports as tests want them: small orders, documents around them, and one reading of all."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeVar
from zoneinfo import ZoneInfo

from adapters.spartoo.codec import ExportReader, orders
from adapters.spartoo.element import ExportedElement
from adapters.spartoo.order import SpartooOrder

T = TypeVar("T", bound=ExportedElement)

PARIS = ZoneInfo("Europe/Paris")


def order(order_id: object, extra: str = "") -> str:
    return (
        f"<order><orders_id>{order_id}</orders_id><orders_status_id>11</orders_status_id>"
        "<date_purchased>2026-11-20 09:12:00</date_purchased><products><product>"
        "<products_qty>1</products_qty><products_price_unit>64.90</products_price_unit>"
        f"</product></products>{extra}</order>"
    )


def export(*bodies: str, encoding: str = "UTF-8") -> str:
    body = "\n ".join(bodies)
    return (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<root>\n<orders>{body}</orders>'
        "<statut><id>1</id><description>ok</description></statut></root>\n"
    )


def reader() -> ExportReader[SpartooOrder]:
    return ExportReader(orders(PARIS, "EUR"))


def read_all(chunks: Iterable[bytes]) -> tuple[list[SpartooOrder], ExportReader[SpartooOrder]]:
    export_reader = reader()
    return list(everything(export_reader, chunks)), export_reader


def everything(export_reader: ExportReader[T], chunks: Iterable[bytes]) -> Iterator[T]:
    """The items, without the steps between them."""
    steps = chain(chain.from_iterable(map(export_reader.feed, chunks)), export_reader.finish())
    return (one for one in steps if one is not None)


def read_export(text: str | bytes) -> list[SpartooOrder]:
    return read_all([text.encode() if isinstance(text, str) else text])[0]


def ids(found: Iterable[SpartooOrder]) -> list[str | None]:
    return [one.id for one in found]
