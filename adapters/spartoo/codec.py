"""An export as a stream of items: orders, or returns.

An item that begins with its id and holds nothing that could hide its end is cut out as it stands:
most items have not changed since they were last read, and are known by their bytes. All others go
through the XML parser. Where that finds an item not well-formed, the broken piece is handed out as
one that cannot be read and parsing goes on after it, so one bad item holds up no other. Memory
holds one item and the frame around the items, never the export.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Generic, TypeVar, cast
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
from adapters.spartoo.edges import edges_of
from adapters.spartoo.effort import NEW_PARSER, Effort, check_frame
from adapters.spartoo.element import (
    LARGEST_ELEMENT,
    MOST_NAMESPACES,
    MOST_TAGS,
    ExportedElement,
    field_text,
)
from adapters.spartoo.order import SpartooOrder
from adapters.spartoo.rma import SpartooReturn
from adapters.spartoo.text import AnswerText

_SLICE = 1 << 14  # bytes decoded in one step
_ANCESTOR = 32  # bytes that could be parsed while one is looked at
_CUT_OFF = "cut-off XML: its end is missing"

_ORDER_ELEMENT = re.compile(
    r"order|products?|errors?|"
    r"(?:customers|delivery|relay|products|orders?|payment|shipping|date|last)(?:_[a-z_]+)?"
)
_RETURN_ELEMENT = re.compile(r"return|order|products?|errors?|(?:return|products)(?:_[a-z_]+)?")

T = TypeVar("T", bound=ExportedElement)


class _Malformed(Exception):
    """The parser cannot go on; what it was fed since the last edge is to be cut by hand."""


@dataclass(frozen=True, slots=True)
class ItemForm(Generic[T]):
    """What the items of an export look like; their list bears the plural of `tag`."""

    tag: str
    id_tag: str
    documented: re.Pattern[str]  # the elements an item has, as far as documented
    make: Callable[[bytes, str | None], T]  # from XML, and the id where it is known


def orders(zone: ZoneInfo, currency: str) -> ItemForm[SpartooOrder]:
    """The items of xml_export_orders."""
    return ItemForm(
        SpartooOrder.TAG,
        SpartooOrder.ID_TAG,
        _ORDER_ELEMENT,
        lambda xml, order_id: SpartooOrder.from_xml(xml, zone, currency, order_id=order_id),
    )


def returns(zone: ZoneInfo) -> ItemForm[SpartooReturn]:
    """The items of xml_export_returns."""
    return ItemForm(
        SpartooReturn.TAG,
        SpartooReturn.ID_TAG,
        _RETURN_ELEMENT,
        lambda xml, return_id: SpartooReturn.from_xml(xml, zone, return_id=return_id),
    )


def _new_parser(tag: str) -> "etree.XMLPullParser":
    return etree.XMLPullParser(
        events=("start", "end"),
        tag=(tag, f"{tag}s"),
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
    )


class ExportReader(Generic[T]):
    """Feed it the export's bytes in any chunks; it yields the items that are complete.

    It yields None after a step of work that completed no item, so that others may run between.
    Exhaust what `feed` and `finish` yield. Both raise TransportFault when what comes is no export,
    costs too much or ends too early; `answer` is the export's result code once `finish` is through.
    """

    def __init__(self, form: ItemForm[T]):
        self.answer = Answer(None)
        self._form = form
        self._edges = edges_of(form.tag, form.id_tag)
        self._text = AnswerText()
        self._start = b""  # of what came, for diagnosis
        self._effort = Effort()
        self._prolog: bytes | None = b""  # None once the root element has begun
        self._parser = _new_parser(self._form.tag)
        self._frame = b""  # the export so far, without items: what a new parser is told first
        self._list: etree._Element | None = None  # the list of items that is open
        self._had_list = False
        self._namespaces = False  # the frame declares some, which items may use
        self._pending: list[bytes] = []  # fed since the last edge
        self._pending_size = self._pending_tags = self._pending_namespaces = 0
        self._may_be_stuck = True  # no end tag of an item has come since the last edge
        self._next_end = -1  # where in the text the next end tag of an item stands
        self._is_broken = False  # the end of a broken item is looked for
        self._broken = bytearray()  # what has come of it

    def feed(self, chunk: bytes) -> Iterator[T | None]:
        """The items that this chunk completes."""
        if len(self._start) < KEPT_FOR_DIAGNOSIS:
            self._start += chunk[:KEPT_FOR_DIAGNOSIS]
        self._effort.received += len(chunk)
        text = []
        for start in range(0, len(chunk), _SLICE):
            text.append(self._text.feed(chunk[start : start + _SLICE]))
            yield None
        with self._as_fault():
            yield from self._take(b"".join(text))

    def finish(self) -> Iterator[T | None]:
        """The items that come to light at the end; sets `answer`."""
        with self._as_fault():
            yield from self._take(self._text.finish())
            if self._prolog is not None:
                raise BadAnswer("no XML" if self._start.strip() else "an empty answer")
            while (root := self._close()) is None:
                item, rest = self._cut()
                yield item
                yield from self._take(rest)
            self.answer = find_result(root)
            if self.answer.code is None and not self._had_list:
                raise BadAnswer(f"XML without {self._form.tag}s or a result code")

    @contextmanager
    def _as_fault(self) -> Iterator[None]:
        try:
            yield
        except BadAnswer as error:
            raise transport_fault(error, self._start) from None

    def _take(self, text: bytes) -> Iterator[T | None]:
        text = self._past_prolog(text)
        position, self._next_end = 0, -1
        while position < len(text):
            plain = self._plain_item(text, position)
            if plain is not None:
                plain_item, position = plain
                yield plain_item
                continue
            edge = self._edges.edge.search(text, position)
            end = edge.end() if edge else len(text)
            item, rest = self._take_segment(text[position:end])
            yield item
            # What is taken again is the end of what was taken, mostly still in this text.
            position = end - len(rest)
            if position < 0:
                text, position, self._next_end = rest + text[end:], 0, -1

    def _plain_item(self, text: bytes, position: int) -> tuple[T, int] | None:
        """The item that begins here and where it ends, if that can be told without the parser."""
        if self._list is None or self._pending or self._is_broken or self._namespaces:
            return None
        if self._next_end < position:
            found = text.find(self._edges.plain_end, position)
            self._next_end = found if found >= 0 else len(text)
        last = self._next_end if self._next_end < len(text) else -1
        if (plain := self._edges.plain_item(text, position, last)) is None:
            return None
        begin, end, item_id = plain
        return self._form.make(text[begin:end], item_id.decode("utf-8", "replace")), end

    def _take_segment(self, segment: bytes) -> tuple[T | None, bytes]:
        """The item that ends with the segment, and what of it must be taken again."""
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

    def _parse(self, segment: bytes) -> T | None:
        self._keep(segment)
        failed = False
        try:
            self._parser.feed(segment)
        except etree.XMLSyntaxError:
            failed = True
        item = self._look_at_events()
        if failed and self._list is None:
            raise BadAnswer(f"XML malformed outside its {self._form.tag}s")
        if failed or (item is None and self._is_stuck(segment)):
            raise _Malformed
        return item

    def _keep(self, segment: bytes) -> None:
        """Add it to what is fed since the last edge. Raises where that becomes too much."""
        self._pending.append(segment)
        self._pending_size += len(segment)
        self._pending_tags += segment.count(b"<")
        self._pending_namespaces += segment.count(b"xmlns")
        if self._list is None:
            check_frame(self._form.tag, self._frame, self._pending_size)
        elif (
            self._pending_size > LARGEST_ELEMENT
            or self._pending_tags > MOST_TAGS
            or self._pending_namespaces > MOST_NAMESPACES
        ):
            raise _Malformed

    def _is_stuck(self, segment: bytes) -> bool:
        """Whether an item has plainly ended, but the parser looks for the end of a quotation.

        The first end tag decides: nothing behind it makes an item plain.
        """
        if self._list is None or not segment.endswith(self._edges.plain_end):
            return False
        if not self._may_be_stuck:
            return False
        self._may_be_stuck = False
        text = b"".join(self._pending)
        return self._edges.plain_item(text, 0, text.find(self._edges.plain_end)) is not None

    def _look_at_events(self) -> T | None:
        item = None
        events: Iterator[tuple[str, etree._Element]] = cast("Any", self._parser.read_events())
        for event, element in events:
            parent = element.getparent()
            if parent is None:
                continue
            if element.tag != self._form.tag:
                self._see_list(event, element, parent)
            elif parent is not self._list:
                if self._shows_missing_end(event, element):
                    raise _Malformed
            elif event == "end":
                item = self._finished(element)
        return item

    def _see_list(self, event: str, element: etree._Element, parent: etree._Element) -> None:
        """Note where the list in the root begins and ends; elsewhere its name does not count."""
        if event == "start" and parent.getparent() is None:
            self._list = element
            self._had_list = True
        elif event == "end" and element is self._list:
            self._list = None
        else:
            return
        self._frame += self._drain()
        check_frame(self._form.tag, self._frame)
        self._namespaces = b"xmlns" in self._frame

    def _shows_missing_end(self, event: str, element: etree._Element) -> bool:
        """Whether an item stands where no item has one, so that the outer one's end is missing.

        Seen when it ends with an id of its own, or when a third one begins in it. Inside an
        element that is new to us an item may stand.
        """
        depth = outer = 0
        documented = self._list is not None
        for found in takewhile(self._is_inside, element.iterancestors()):
            depth += 1
            outer += found.tag == self._form.tag
            if not self._form.documented.fullmatch(str(found.tag)):
                documented = False
                break
        self._effort.spend(depth * _ANCESTOR)
        if event == "end":
            return documented and element.find(self._form.id_tag) is not None
        return documented and outer > 1

    def _is_inside(self, element: etree._Element) -> bool:
        return element is not self._list

    def _finished(self, element: etree._Element) -> T:
        """The item, taken out of the tree with all that stood before it."""
        text = self._drain()
        start = self._edges.piece_start.match(text)
        if start is None or self._namespaces:
            xml = etree.tostring(element, encoding="utf-8", with_tail=False)
            self._effort.spend(len(xml))
        else:
            xml = text[start.end() - len(f"<{self._form.tag}") :]
        item_id = field_text(element.iterfind(self._form.id_tag))
        if self._list is not None:
            del self._list[:]
            self._list.text = None
        return self._make(xml, item_id)

    def _make(self, xml: bytes, item_id: str | None) -> T:
        item = self._form.make(xml, item_id)
        if item.id is None:
            self._effort.note_without_id()
        return item

    def _drain(self) -> bytes:
        """What was fed since the last edge; now is the next."""
        text = b"".join(self._pending)
        self._pending.clear()
        self._pending_size = self._pending_tags = self._pending_namespaces = 0
        self._may_be_stuck = True
        return text

    def _cut(self) -> tuple[T | None, bytes]:
        """Begin a broken item with what was fed since the last edge."""
        text = self._drain()
        start = self._edges.piece_start.match(text)
        self._is_broken = True
        return self._skip(text, start.end() if start else 0)

    def _skip(self, text: bytes, start: int = 0) -> tuple[T | None, bytes]:
        """The broken item if it ends in this text, from `start` on, and what follows it.

        Past the largest item that is read the rest of it is dropped.
        """
        end = self._edges.piece_end(text, start)
        if len(self._broken) <= LARGEST_ELEMENT:
            self._broken += text[:end]
        if end is None:
            return None, b""
        piece = bytes(self._broken.strip())
        self._restart()
        item = self._make(piece, None) if piece else None
        rest = text[end:]
        self._effort.spend(len(rest))
        return item, rest

    def _restart(self) -> None:
        """Go on with a new parser that stands where the next item may begin."""
        self._is_broken = False
        self._broken.clear()
        self._effort.spend(NEW_PARSER + len(self._frame))
        self._parser = _new_parser(self._form.tag)
        self._parser.feed(self._frame)
        self._look_at_events()

    def _close(self) -> etree._Element | None:
        """The export's root; None when a broken item has swallowed the end of the list."""
        if self._is_broken:
            raise BadAnswer(_CUT_OFF)
        try:
            return self._parser.close()
        except etree.XMLSyntaxError:
            if self._list is None or not self._edges.list_end.search(b"".join(self._pending)):
                raise BadAnswer(_CUT_OFF) from None
            return None
