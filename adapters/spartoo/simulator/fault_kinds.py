"""The misbehaviours, one small class each; `AnyFault` is the table.

A fault changes the plan of the calls in its scope. Several in force add up; where two replace the
answer, the first set wins.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

from lxml import etree
from pydantic import BaseModel, ConfigDict, Field

from adapters.spartoo.simulator.plan import Cut, Drip, Plan, ResultCode, Silence, Whole
from adapters.spartoo.simulator.xml import Place

_HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1><br></body></html>"


class Fault(BaseModel):
    """The scope every fault has; what is left out means "any", "always"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str | None = Field(None, description="Such as xml_maj_orders")
    account: str | None = Field(None, description="An account's name")
    count: int | None = Field(None, ge=1, description="Calls it is applied to before it ends")
    probability: float = Field(1, gt=0, le=1, description="Share of the calls in scope")


class _Instead(Fault):
    """Replaces the answer, before the service works or after it has made its change."""

    after_change: bool = False

    def _replace(self, plan: Plan, instead: Whole | ResultCode | Silence) -> Plan:
        if plan.instead is not None:
            return plan
        return replace(plan, instead=instead, after_change=self.after_change)


class _InOrder(Fault):
    """Spoils one order or return of an export: of that id, else the one in the middle."""

    order_id: str | None = None
    return_id: str | None = None

    def _edit(self, plan: Plan, spoil: Callable[[str], str]) -> Plan:
        ids = [
            f"<{tag}>{wanted}</{tag}>"
            for tag, wanted in (("orders_id", self.order_id), ("return_id", self.return_id))
            if wanted is not None
        ]

        def edit(text: str, index: int, count: int) -> str:
            meant = any(one in text for one in ids) if ids else index == count // 2
            return spoil(text) if meant else text

        return replace(plan, edits=(*plan.edits, edit))


class Latency(Fault):
    """The service starts late by `seconds` and up to `jitter` more."""

    kind: Literal["latency"]
    seconds: float = Field(ge=0, le=3600)
    jitter: float = Field(0, ge=0, le=3600)

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, delay=plan.delay + self.seconds, jitter=plan.jitter + self.jitter)


class AnsweredCode(_Instead):
    """Any result code: -429 too many calls, -428 deactivated or another."""

    kind: Literal["code"]
    code: int

    def apply(self, plan: Plan) -> Plan:
        return self._replace(plan, ResultCode(self.code))


class HttpError(_Instead):
    """An HTTP error with a page of HTML."""

    kind: Literal["http_error"]
    status: int = Field(503, ge=400, le=599)

    def apply(self, plan: Plan) -> Plan:
        body = _HTML.format(f"Error {self.status}").encode()
        return self._replace(plan, Whole(self.status, body, "text/html"))


class HtmlPage(_Instead):
    """HTTP 200 with HTML instead of XML."""

    kind: Literal["html"]

    def apply(self, plan: Plan) -> Plan:
        return self._replace(plan, Whole(200, _HTML.format("Maintenance").encode(), "text/html"))


class EmptyBody(_Instead):
    """HTTP 200 with nothing in it."""

    kind: Literal["empty"]

    def apply(self, plan: Plan) -> Plan:
        return self._replace(plan, Whole(200, b"", "text/xml"))


class TimeOut(_Instead):
    """No answer for `seconds`, then the connection closes."""

    kind: Literal["timeout"]
    seconds: float = Field(120, ge=0, le=3600)

    def apply(self, plan: Plan) -> Plan:
        return self._replace(plan, Silence(self.seconds))


class DroppedConnection(_Instead):
    """The connection closes without an answer."""

    kind: Literal["drop"]

    def apply(self, plan: Plan) -> Plan:
        return self._replace(plan, Silence(0))


class CutOff(Fault):
    """The body ends early; `drop` closes the connection there instead of ending the answer."""

    kind: Literal["cut_off"]
    at_byte: int | None = Field(None, ge=0)
    fraction: float = Field(0.5, ge=0, lt=1)
    drop: bool = False

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, cut=Cut(self.at_byte, self.fraction, self.drop))


class SlowDrip(Fault):
    """The body comes `size` bytes at a time, `seconds` apart."""

    kind: Literal["drip"]
    size: int = Field(16, ge=1)
    seconds: float = Field(0.1, ge=0, le=60)

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, drip=Drip(self.size, self.seconds))


class ResultElsewhere(Fault):
    """The result code stands in another of the places the documentation knows."""

    kind: Literal["result_elsewhere"]
    place: Place

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, place=self.place)


class Latin1(Fault):
    """ISO-8859-1, declared as such."""

    kind: Literal["latin1"]

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, declared="ISO-8859-1", codec="iso-8859-1")


class UndeclaredCp1252(Fault):
    """Bytes of Windows-1252 in an answer that declares no encoding."""

    kind: Literal["cp1252"]

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, declared=None, codec="cp1252")


class ByteOrderMark(Fault):
    """A UTF-8 byte-order mark before the declaration."""

    kind: Literal["bom"]

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, mark=b"\xef\xbb\xbf")


class ExtraFields(Fault):
    """Elements nobody documented, in every order, return, party and product."""

    kind: Literal["extra_fields"]

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, edits=(*plan.edits, _add_fields))


class Reordered(Fault):
    """The elements of each order or return in reverse; the products keep their order."""

    kind: Literal["reordered"]

    def apply(self, plan: Plan) -> Plan:
        return replace(plan, edits=(*plan.edits, _reverse_fields))


class MalformedOrder(_InOrder):
    """One order or return with a tag left open: the export is no XML from there on."""

    kind: Literal["malformed_order"]

    def apply(self, plan: Plan) -> Plan:
        return self._edit(plan, lambda text: _CLOSING.sub("", text, count=1))


class UnreadableOrder(_InOrder):
    """One that is XML but no order or return: without id, or a field that is not what it should be.

    A return has no quantity.
    """

    kind: Literal["unreadable_order"]
    what: Literal["no_id", "bad_quantity", "bad_date", "bad_status"] = "bad_quantity"

    def apply(self, plan: Plan) -> Plan:
        pattern, instead = _UNREADABLE[self.what]
        return self._edit(plan, lambda text: pattern.sub(instead, text, count=1))


class BadSlip(Fault):
    """The delivery slip is no PDF, or its link leads nowhere."""

    kind: Literal["bad_slip"]
    what: Literal["no_pdf", "dead_link", "none"] = "no_pdf"

    def apply(self, plan: Plan) -> Plan:
        def edit(text: str, _index: int, _count: int) -> str:
            return _SLIP.sub(_BAD_SLIPS[self.what], text)

        return replace(plan, edits=(*plan.edits, edit))


_SLIP = re.compile("(?<=<pdf>)[^<]*")
_BAD_SLIPS = {
    "no_pdf": b64encode(_HTML.format("Maintenance").encode()).decode(),
    "dead_link": "http://127.0.0.1:9/slip.pdf",  # nobody listens there
    "none": "",
}
_CLOSING = re.compile("</(?:delivery|product)>")
_UNREADABLE = {
    "no_id": (re.compile("<(orders_id|return_id)>.*?</\\1>"), ""),
    "bad_quantity": (re.compile("(?<=<products_qty>)[^<]*"), "deux"),
    "bad_date": (
        re.compile("(?<=<date_purchased>)[^<]*|(?<=<return_date>)[^<]*"),
        "0000-00-00 00:00:00",
    ),
    "bad_status": (
        re.compile("(?<=<orders_status_id>)[^<]*|(?<=<return_status>)[^<]*"),
        "accepté",
    ),
}


def _serialized(order: etree._Element) -> str:
    return etree.tostring(order, encoding="unicode") + "\n"


def _add_fields(text: str, _index: int, _count: int) -> str:
    order = etree.fromstring(text)
    for element in [order, *order.iter("customers", "delivery", "product")]:
        extra = etree.Element("champ_nouveau", version="2")
        etree.SubElement(extra, "id").text = "42"
        element.insert(0, extra)
    return _serialized(order)


def _reverse_fields(text: str, _index: int, _count: int) -> str:
    order = etree.fromstring(text)
    for element in list(order.iter()):
        if element.tag != "products":
            element[:] = list(reversed(element))
    return _serialized(order)


AnyFault = Annotated[
    Latency
    | AnsweredCode
    | HttpError
    | HtmlPage
    | EmptyBody
    | TimeOut
    | DroppedConnection
    | CutOff
    | SlowDrip
    | ResultElsewhere
    | Latin1
    | UndeclaredCp1252
    | ByteOrderMark
    | ExtraFields
    | Reordered
    | MalformedOrder
    | UnreadableOrder
    | BadSlip,
    Field(discriminator="kind"),
]
