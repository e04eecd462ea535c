"""One exported return (RMA): its XML, and on request the return it describes."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self
from zoneinfo import ZoneInfo

from adapters.spartoo.element import ExportedElement, Fields, clean_id, fingerprint, found_id
from adapters.spartoo.fields import parse_count, parse_date
from statemachine.model import MarketplaceReturn, OrderId, ReturnId, ReturnItem

_TIMESTAMP = re.compile(r"[0-9]{9,10}")


@dataclass(frozen=True, slots=True)
class SpartooReturn(ExportedElement):
    """One return of an export (ports.ExportedReturn)."""

    TAG: ClassVar[str] = "return"
    ID_TAG: ClassVar[str] = "return_id"

    @classmethod
    def from_xml(cls, xml: bytes, zone: ZoneInfo, *, return_id: str | None = None) -> Self:
        """From the bytes of its element, well-formed or not."""
        seen = found_id(xml, cls.ID_TAG) if return_id is None else return_id
        return cls(clean_id(seen), fingerprint(xml), xml, zone)

    def read(self) -> MarketplaceReturn:
        """Parse it. Raises UnreadableOrder."""
        element = self._readable()
        read = Fields(element)
        return MarketplaceReturn(
            return_id=ReturnId(read.id("return_id")),
            order_id=OrderId(read.id("order")),
            status=read.required("return_status", parse_count),
            requested_at=read.required("return_date", self._moment),
            reason=read.text("return_reason"),
            item=_item(Fields(element.find("product"))),
        )

    def _moment(self, text: str) -> datetime:
        """Assumed: written as an order's dates are; a Unix timestamp, as is sent, is taken too."""
        if _TIMESTAMP.fullmatch(text):
            return datetime.fromtimestamp(int(text), UTC).astimezone(self.zone)
        return parse_date(text, self.zone)


def _item(read: Fields) -> ReturnItem:
    return ReturnItem(
        reference=read.text("products_reference"),
        spartoo_product_id=read.number("products_spartoo"),
        name=read.text("products_name"),
        brand=read.text("products_manufacturers"),
        size=read.text("products_size"),
        color=read.text("products_color"),
    )
