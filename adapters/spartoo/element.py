"""What the exports hand out one by one: an order or a return as its XML, and how it is read.

What is refused says which field and why, without the text around it: that may be personal.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import ClassVar, TypeVar
from zoneinfo import ZoneInfo

from lxml import etree

from adapters.ports import UnreadableOrder
from adapters.spartoo.fields import BadField

LARGEST_ELEMENT = 1 << 20  # bytes of one order's or return's XML; past it it is set aside unread
MOST_TAGS = 20_000  # "<" in one order's or return's XML; 600 products have so many
MOST_NAMESPACES = 64  # "xmlns" in it
LONGEST_ID = 64
_PARSER = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    remove_comments=True,
    remove_pis=True,
)
_SYNTAX_FAULTS = {
    4: "nothing there",
    5: "text after its end",
    63: "a CDATA section is not closed",
    68: 'a "<" that begins no tag',
    73: "a tag is not finished",
    76: "an element is closed by the tag of another",
    77: "its end tag is missing",
}

T = TypeVar("T")


def clean_id(text: str | None) -> str | None:
    """An id as sent, without the spaces around it; None where there is none."""
    stripped = (text or "").strip()
    return stripped if 0 < len(stripped) <= LONGEST_ID else None


def text_of(element: etree._Element) -> str:
    """All text inside an element; most have no children."""
    if len(element) == 0:
        return element.text or ""
    return "".join(map(str, element.itertext()))


def field_text(elements: Iterable[etree._Element]) -> str:
    """The first text that is not empty, without the spaces around it; or ''."""
    for element in elements:
        if text := text_of(element).strip():
            return text
    return ""


@dataclass(frozen=True, slots=True)
class ExportedElement:
    """One element of an export; `id` is None where it cannot be seen."""

    TAG: ClassVar[str]
    ID_TAG: ClassVar[str]

    id: str | None
    fingerprint: bytes
    xml: bytes = field(repr=False)
    zone: ZoneInfo

    def reported_code(self) -> int | None:
        """The negative result code the marketplace put inside this element, if any."""
        try:
            reported = _reported_error(self._parse())
        except UnreadableOrder:
            return None
        return reported and reported[0]

    def _readable(self) -> etree._Element:
        """The element; raises UnreadableOrder, also for the error the marketplace put inside."""
        element = self._parse()
        if (reported := _reported_error(element)) is not None:
            code, description = reported
            raise UnreadableOrder(
                f"errors/error: the marketplace answers {code} for this {self.TAG}:"
                f" {description[:200]}"
            )
        return element

    def _parse(self) -> etree._Element:
        self._check_bounds()
        try:
            element = etree.fromstring(self.xml, _PARSER)
        except etree.XMLSyntaxError as error:
            raise UnreadableOrder(f"{self.TAG}: {_syntax_fault(error)}") from None
        if element.tag != self.TAG:
            shown = _shown(element.tag)
            raise UnreadableOrder(f"{self.TAG}: found an element {shown} in its place")
        return element

    def _check_bounds(self) -> None:
        bounds = (
            (len(self.xml), LARGEST_ELEMENT, "bytes"),
            (self.xml.count(b"<"), MOST_TAGS, "tags"),
            (self.xml.count(b"xmlns"), MOST_NAMESPACES, "namespaces"),
        )
        for found, most, what in bounds:
            if found > most:
                raise UnreadableOrder(
                    f"{self.TAG}: its XML is over {most} {what},"
                    f" the most that is read of one {self.TAG}"
                )


def found_id(xml: bytes, tag: str) -> str | None:
    """The id of an element that may not be well-formed."""
    match = _id_pattern(tag).search(xml)
    return match and match[1].decode("utf-8", "replace")


@lru_cache
def _id_pattern(tag: str) -> re.Pattern[bytes]:
    """Possessive throughout: blanks are gone over once, however many there are."""
    return re.compile(
        rb"<%s[^<>]*+>\s*+(?:<!\[CDATA\[\s*+)?+([^\s<>\]]{1,%d})" % (tag.encode(), LONGEST_ID)
    )


def fingerprint(xml: bytes) -> bytes:
    """16 bytes, equal for equal XML."""
    return blake2b(xml, digest_size=16).digest()


class Fields:
    """The texts of an element's children by name; none of them without an element."""

    def __init__(self, element: etree._Element | None, place: str = ""):
        self._place = place
        self._texts: dict[str, str] = {}
        self._containers: dict[str, list[etree._Element]] = {}  # their texts are seldom asked for
        for child in () if element is None else element:
            name = str(child.tag)
            if len(child):
                self._containers.setdefault(name, []).append(child)
            elif not self._texts.get(name):
                self._texts[name] = (child.text or "").strip()

    def text(self, name: str) -> str:
        """The first text of that name that is not empty, without the spaces around it; or ''."""
        return self._texts.get(name) or field_text(self._containers.get(name, ()))

    def required(self, name: str, parse: Callable[[str], T]) -> T:
        return self._parsed(name, self.text(name), parse)

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        text = self.text(name)
        return self._parsed(name, text, parse) if text else None

    def _parsed(self, name: str, text: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(text)
        except BadField as error:
            raise UnreadableOrder(f"{self._place}{name}: {error}") from None

    def id(self, name: str) -> str:
        """A text that may be an id; raises UnreadableOrder."""
        text = self.text(name)
        if (cleaned := clean_id(text)) is None:
            wrong = f"{len(text)} characters" if text else "missing"
            raise UnreadableOrder(f"{name}: {wrong}, expected 1 to {LONGEST_ID} characters")
        return cleaned

    def number(self, name: str) -> int | None:
        """A number of the marketplace's own; None where it is none."""
        text = self.text(name)
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _shown(tag: object) -> str:
    return repr(str(tag)[:40])


def _syntax_fault(error: etree.XMLSyntaxError) -> str:
    # libxml2's own sentence may quote the order's text; its number for the fault does not.
    code = getattr(error, "code", 0)
    line, column = error.position
    fault = _SYNTAX_FAULTS.get(code, f"libxml2 error {code}")
    return f"not well-formed XML at line {line}, column {column}: {fault}"


def _reported_error(element: etree._Element) -> tuple[int, str] | None:
    """The negative result code inside an element with its description, if there is one."""
    for error in element.iterfind("errors/error"):
        code = (error.findtext("id") or "").strip()
        if re.fullmatch(r"-[0-9]{1,9}", code):
            return int(code), " ".join((error.findtext("description") or "").split())
    return None
