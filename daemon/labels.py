"""Return labels as people give them: a link, or a PDF, checked before anything is stored."""

import binascii
import hashlib
from base64 import b64decode

from adapters.ports import Label
from adapters.spartoo.label import check_label
from statemachine.return_facts import GivenLabel

_LONGEST_LINK = 2000


def label_link(text: str) -> Label:
    """A label by its link. Raises ValueError."""
    if len(text) > _LONGEST_LINK:
        raise ValueError(f"{len(text)} characters; a link has at most {_LONGEST_LINK}")
    if not text.isprintable():
        raise ValueError("a link has no line breaks or control characters")
    label = Label(link=text)
    check_label(label)
    return label


def label_file(pdf: bytes) -> Label:
    """A label by the PDF itself. Raises ValueError."""
    label = Label(pdf=pdf)
    check_label(label)
    return label


def label_base64(text: str) -> Label:
    """A label by its PDF in base64; line breaks are passed over. Raises ValueError."""
    try:
        pdf = b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("no base64; a label is a PDF in base64") from None
    return label_file(pdf)


def given(label: Label) -> GivenLabel:
    """The label as the core knows it."""
    content = label.link.encode() if label.link is not None else label.pdf or b""
    return GivenLabel(hashlib.blake2b(content, digest_size=16).hexdigest(), label.link)
