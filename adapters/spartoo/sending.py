"""XML that is sent: small documents, put into the form field `xml`."""

from lxml import etree


def add(parent: etree._Element, tag: str, text: str = "") -> etree._Element:
    """A new last child with that text."""
    child = etree.SubElement(parent, tag)
    child.text = text
    return child


def as_text(root: etree._Element) -> str:
    """The document without a declaration."""
    return etree.tostring(root, encoding="unicode")
