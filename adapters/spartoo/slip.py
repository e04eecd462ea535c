"""Delivery slips: how one is asked for, and the PDF in the answer."""

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from string import whitespace
from urllib.parse import urlsplit

from lxml import etree

from adapters.ports import TransportFault
from adapters.spartoo.element import field_text
from adapters.spartoo.sending import add, as_text
from statemachine.model import Line, OrderId

LARGEST_SLIP = 5 << 20  # bytes
LARGEST_ANSWER_WITH_SLIP = LARGEST_SLIP * 3 // 2  # base64 adds a third, and line ends
_PDF = b"%PDF-"
_HEADER_WITHIN = 1024  # bytes; readers of PDF look for its header so far in
_LINK = re.compile(r"https?://", re.IGNORECASE)


def slip_request(order_id: OrderId, lines: Sequence[Line]) -> str:
    """The field `xml`. Several lines of one product are told as one."""
    root = etree.Element("root")
    add(root, "order_id", order_id)
    products = add(root, "products")
    quantities: Counter[str] = Counter()
    for line in lines:
        quantities[line.reference] += line.quantity
    for reference, quantity in quantities.items():
        product = add(products, "product")
        add(product, "reference_partenaire", reference)
        add(product, "product_quantity", str(quantity))
    return as_text(root)


def find_slip(root: etree._Element) -> str:
    """What stands for the slip in the answer: a link or base64. Raises TransportFault."""
    if not (text := field_text(root.iter("pdf"))):
        raise TransportFault("an answer without the delivery slip")
    return text


def is_link(text: str) -> bool:
    """Assumed: a link is a whole address; all else is base64."""
    return _LINK.match(text) is not None


def belongs_to(link: str, base_url: str) -> bool:
    """True for a link to the web services' own host or its domain, as private as they are."""
    try:
        there, here = urlsplit(link), urlsplit(base_url)
        own_port = there.port == here.port
    except ValueError:
        return False
    host, own = there.hostname or "", here.hostname or ""
    private = there.scheme.lower() == "https" or here.scheme == "http"
    return private and "@" not in there.netloc and own_port and _is_of(host, own)


def _is_of(host: str, own: str) -> bool:
    """The host itself, or another one of its domain: www.spartoo.com beside sws.spartoo.com."""
    domain = own.partition(".")[2]
    named = "." in domain and not own.replace(".", "").isdecimal()
    return host == own or (named and (host == domain or host.endswith(f".{domain}")))


def decode_slip(text: str) -> bytes:
    """From base64. Raises TransportFault."""
    try:
        return b64decode(text.encode("ascii").translate(None, whitespace.encode()), validate=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are some too
        raise TransportFault("a delivery slip that is neither link nor base64") from None


def check_slip(pdf: bytes) -> bytes:
    """The same bytes, if they are a PDF. Raises TransportFault."""
    if _PDF not in pdf[:_HEADER_WITHIN]:
        raise TransportFault("a delivery slip that is no PDF")
    return pdf
