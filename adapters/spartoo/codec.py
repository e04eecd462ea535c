"""An export as a stream of orders.

A well-formed export is cut into orders by the XML parser alone. Where it is not well-formed, the
broken piece is handed out as an order that cannot be read and parsing goes on after it, so one bad
order holds up no other. Memory holds one order and the frame around the orders, never the export.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any, cast
from zoneinfo import ZoneInfo

from lxml import etree

from adapters.spartoo.answer import (
    KEPT_FOR_DIAGNOSIS,
    Answer,
    BadAnswer,
    find_result,
    find_root,
    transport_fault,
)
from adapters.spartoo.order import LARGEST_ORDER, SpartooOrder, field_text
from adapters.spartoo.text import AnswerText

_LARGEST_FRAME = 1 << 20  # bytes of the export without its orders
_LEAST_EFFORT = 1 << 25  # bytes that may be parsed again, and more per byte that came
_EFFORT = 8

# Every tag of an order or a list ends a segment, so an order ends only where a segment does.
_EDGE = re.compile(rb"<(?:/orders?\b\s*|orders?\b[^<>]*)>?")
_PIECE_START = re.compile(rb"(?>\s+|<!--.*?-->|<\?.*?\?>)*+<order(?=[\s/>])", re.DOTALL)
_PIECE_END = re.compile(rb"</order\s*>|(?=<order[\s/>])|(?=</orders\s*>)")
_OWN_ELEMENT = re.compile(
    r"order|products?|errors?|"
    r"(?:customers|delivery|relay|products|orders?|payment|shipping|date|last)(?:_[a-z_]+)?"
)
_LIST_END = re.compile(rb"</orders\s*>")
_CUT_OFF = "cut-off XML: its end is missing"


class _Malformed(Exception):
    """The parser cannot go on; what it was fed since the last edge is to be cut by hand."""


def _new_parser() -> "etree.XMLPullParser":
    return etree.XMLPullParser(
        events=("start", "end"),
        tag=("order", "orders"),
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
    )


class ExportReader:
    """Feed it the export's bytes in any chunks; it yields the orders that are complete.

    Exhaust what `feed` and `finish` yield. Both raise TransportFault when what comes is no export
    or ends too early; `answer` is the export's result code once `finish` is through.
    """

    def __init__(self, zone: ZoneInfo, currency: str):
        self.answer = Answer(None)
        self._zone = zone
        self._currency = currency
        self._text = AnswerText()
        self._start = b""  # of what came, for diagnosis
        self._received = 0
        self._taken_again = 0
        self._prolog: bytes | None = b""  # None once the root element has begun
        self._parser = _new_parser()
        self._frame = b""  # the export so far, without orders: what a new parser is told first
        self._list: etree._Element | None = None  # the root/orders that is open
        self._had_list = False
        self._pending: list[bytes] = []  # fed since the last edge
        self._pending_size = 0
        self._is_broken = False  # the end of a broken order is looked for
        self._broken = bytearray()  # what has come of it

    def feed(self, chunk: bytes) -> Iterator[SpartooOrder]:
        """The orders that this chunk completes."""
        if len(self._start) < KEPT_FOR_DIAGNOSIS:
            self._start += chunk[:KEPT_FOR_DIAGNOSIS]
        self._received += len(chunk)
        with self._as_fault():
            yield from self._take(self._text.feed(chunk))

    def finish(self) -> Iterator[SpartooOrder]:
        """The orders that come to light at the end; sets `answer`."""
        with self._as_fault():
            yield from self._take(self._text.finish())
            if self._prolog is not None:
                raise BadAnswer("no XML" if self._start.strip() else "an empty answer")
            while (root := self._close()) is None:
                order, rest = self._cut()
                if order is not None:
                    yield order
                yield from self._take(rest)
            self.answer = find_result(root)
            if self.answer.code is None and not self._had_list:
                raise BadAnswer("XML without orders or a result code")

    @contextmanager
    def _as_fault(self) -> Iterator[None]:
        try:
            yield
        except BadAnswer as error:
            raise transport_fault(error, self._start) from None

    def _take(self, text: bytes) -> Iterator[SpartooOrder]:
        text = self._past_prolog(text)
        position = 0
        while position < len(text):
            edge = _EDGE.search(text, position)
            end = edge.end() if edge else len(text)
            order, rest = self._take_segment(text[position:end])
            if order is not None:
                yield order
            self._check_effort(len(rest))
            # What is taken again is the end of what was taken, mostly still in this text.
            position = end - len(rest)
            if position < 0:
                text, position = rest + text[end:], 0

    def _check_effort(self, again: int) -> None:
        """Cutting by hand parses text again; an answer that asks for it without end is refused."""
        self._taken_again += again
        if self._taken_again > _LEAST_EFFORT + _EFFORT * self._received:
            raise BadAnswer("XML too broken to be cut into orders")

    def _take_segment(self, segment: bytes) -> tuple[SpartooOrder | None, bytes]:
        """The order that ends with the segment, and what of it must be taken again."""
        if self._is_broken:
            return self._skip(segment)
        try:
            return self._parse(segment), b""
        except _Malformed:
            return self._cut()

    def _past_prolog(self, text: bytes) -> bytes:
        """The text from the root element on; nothing while that has not begun."""
        if self._prolog is None:
            return text
        self._prolog += text
        start = find_root(self._prolog)
        if start is None:
            return b""
        text, self._prolog = self._prolog[start:], None
        return text

    def _parse(self, segment: bytes) -> SpartooOrder | None:
        self._pending.append(segment)
        self._pending_size += len(segment)
        self._check_size()
        failed = False
        try:
            self._parser.feed(segment)
        except etree.XMLSyntaxError:
            failed = True
        order = self._look_at_events()
        if failed and self._list is None:
            raise BadAnswer("XML malformed outside its orders")
        if failed:
            raise _Malformed
        return order

    def _check_size(self) -> None:
        if self._list is None:
            if len(self._frame) + self._pending_size > _LARGEST_FRAME:
                raise BadAnswer(f"XML with over {_LARGEST_FRAME} bytes outside its orders")
        elif self._pending_size > LARGEST_ORDER:
            raise _Malformed

    def _look_at_events(self) -> SpartooOrder | None:
        order = None
        events: Iterator[tuple[str, etree._Element]] = cast("Any", self._parser.read_events())
        for event, element in events:
            parent = element.getparent()
            if parent is None:
                continue
            if element.tag == "orders":
                self._see_list(event, element, parent)
            elif parent is not self._list:
                if self._shows_missing_end(event, element):
                    raise _Malformed
            elif event == "end":
                order = self._finished(element)
        return order

    def _see_list(self, event: str, element: etree._Element, parent: etree._Element) -> None:
        """Note where root/orders begins and ends; elements of that name elsewhere do not count."""
        if event == "start" and parent.getparent() is None:
            self._list = element
            self._had_list = True
        elif event == "end" and element is self._list:
            self._list = None
        else:
            return
        self._frame += self._drain()

    def _shows_missing_end(self, event: str, element: etree._Element) -> bool:
        """Whether an order stands where no order has one, so that the outer one's end is missing.

        Seen when it ends with an id of its own, or when a third one begins in it. Inside an
        element that is new to us an order may stand.
        """
        outer = [str(found.tag) for found in takewhile(self._is_inside, element.iterancestors())]
        if self._list is None or not all(map(_OWN_ELEMENT.fullmatch, outer)):
            return False
        if event == "end":
            return element.find("orders_id") is not None
        return outer.count("order") > 1

    def _is_inside(self, element: etree._Element) -> bool:
        return element is not self._list

    def _finished(self, element: etree._Element) -> SpartooOrder:
        """The order, taken out of the tree with all that stood before it."""
        xml = etree.tostring(element, encoding="utf-8", with_tail=False)
        order_id = field_text(element.iterfind("orders_id"))
        if self._list is not None:
            del self._list[:]
            self._list.text = None
        self._drain()
        return SpartooOrder.from_xml(xml, self._zone, self._currency, order_id=order_id)

    def _drain(self) -> bytes:
        """What was fed since the last edge; now is the next."""
        text = b"".join(self._pending)
        self._pending.clear()
        self._pending_size = 0
        return text

    def _cut(self) -> tuple[SpartooOrder | None, bytes]:
        """Begin a broken order with what was fed since the last edge."""
        text = self._drain()
        start = _PIECE_START.match(text)
        self._is_broken = True
        return self._skip(text, start.end() if start else 0)

    def _skip(self, text: bytes, start: int = 0) -> tuple[SpartooOrder | None, bytes]:
        """The broken order if it ends in this text, from `start` on, and what follows it.

        Past the largest order that is read the rest of it is dropped.
        """
        end = _PIECE_END.search(text, start)
        if len(self._broken) <= LARGEST_ORDER:
            self._broken += text[: end.end()] if end else text
        if end is None:
            return None, b""
        piece = bytes(self._broken.strip())
        self._restart()
        order = SpartooOrder.from_xml(piece, self._zone, self._currency) if piece else None
        return order, text[end.end() :]

    def _restart(self) -> None:
        """Go on with a new parser that stands where the next order may begin."""
        self._is_broken = False
        self._broken.clear()
        self._parser = _new_parser()
        self._parser.feed(self._frame)
        self._look_at_events()

    def _close(self) -> etree._Element | None:
        """The export's root; None when a broken order has swallowed the end of the list."""
        if self._is_broken:
            raise BadAnswer(_CUT_OFF)
        try:
            return self._parser.close()
        except etree.XMLSyntaxError:
            if self._list is None or not _LIST_END.search(b"".join(self._pending)):
                raise BadAnswer(_CUT_OFF) from None
            return None
