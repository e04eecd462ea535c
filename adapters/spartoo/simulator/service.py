"""What every web service shares: the form that comes, and what the call did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from adapters.spartoo.simulator.codes import Code
from adapters.spartoo.simulator.orders import Status
from adapters.spartoo.simulator.returns import ReturnStatus
from adapters.spartoo.simulator.world import Account, World
from adapters.spartoo.simulator.xml import Listing, Place

_ENGLISH = {"partner": "partenaire", "status": "statut"}
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


@dataclass(frozen=True, slots=True)
class Form:
    """What was posted, and `address`, under which the caller reached the services."""

    fields: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    address: str = ""

    def get(self, name: str) -> str:
        """The field's text; '' where there is none."""
        return self.fields.get(name, "")

    @property
    def order_id(self) -> str | None:
        return self.get("oID") or None

    @property
    def return_id(self) -> str | None:
        return self.get("rID") or None

    def xml(self) -> etree._Element | Code:
        """The document in the field `xml`, or what the marketplace answers to what is none."""
        if not (text := self.get("xml")):
            return Code.XML_MISSING
        try:
            return etree.fromstring(text.encode(), _PARSER)
        except etree.XMLSyntaxError:
            return Code.XML_SYNTAX


def child_text(element: etree._Element, tag: str) -> str:
    """The text of a child without outer blanks; '' where there is none."""
    return (element.findtext(tag) or "").strip()


def child_count(element: etree._Element, tag: str) -> int:
    """The whole number in a child; 0 where there is none."""
    text = child_text(element, tag)
    return int(text) if text.isascii() and text.isdecimal() else 0


def french_names(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields without outer blanks, the English names of the documentation translated."""
    named = {name: value.strip() for name, value in fields.items()}
    for english, french in _ENGLISH.items():
        translated = named.pop(english, "")
        if translated and not named.get(french):
            named[french] = translated
    return named


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did; `before` and `after` are the status of the order or return it named."""

    code: int
    listing: Listing | None = None
    order_id: str | None = None
    return_id: str | None = None
    before: Status | ReturnStatus | None = None
    after: Status | ReturnStatus | None = None


Handler = Callable[[World, Account, Form], Outcome]


@dataclass(frozen=True, slots=True)
class Service:
    """One web service, and where its result code stands in the answer."""

    handle: Handler
    place: Place
