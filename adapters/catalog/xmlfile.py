"""Catalogues as XML, read as a stream; DTDs, entities of one's own and the network are off.

    <catalog>
      <product>
        <id>10001</id> <stock>5</stock> <price_final_incl_tax>64.99</price_final_incl_tax>
        <attributes> <color>red</color> </attributes>
      </product>
    </catalog>

Elements are the fields of `catalog.upsert`; an empty one leaves its field as it is.
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from adapters.catalog.lines import (
    EXCERPT,
    MAX_LINE,
    TOO_LONG,
    CountingFile,
    LineError,
    UnreadableCatalog,
)
from adapters.catalog.product import product_update
from statemachine.model import ProductUpdate

_LONGEST_TAG = 4 * MAX_LINE  # bytes without an end of a tag
_MOST_NAMESPACES = 64  # of the root; each unreadable product would be shown with all of them


def read_xml(file: CountingFile) -> Iterator[ProductUpdate | LineError]:
    """Each product, or why it cannot be read; raises UnreadableCatalog for a foreign document.

    XML that breaks off or breaks the syntax ends the stream with a LineError.
    """
    events = etree.iterparse(
        _BoundedTags(file),
        events=("start", "end"),
        load_dtd=False,
        no_network=True,
        resolve_entities=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    started = False
    try:
        for element, oversized in _children_of_root(events, file):
            started = True
            if element is not None:
                yield _product(element, oversized=oversized)
    except _TagTooLong as error:
        if not started:
            raise UnreadableCatalog(str(error)) from None
        yield LineError(0, f"nothing behind it was read: {error}", "")
    except etree.XMLSyntaxError as error:
        last = events.error_log.last_error  # says more where an entity is unknown
        line, why = (last.line, last.message.strip()) if last else (error.lineno or 0, error.msg)
        if not started:
            raise UnreadableCatalog(f"not XML: line {line}: {why}") from None
        yield LineError(line, f"broken XML, nothing behind it was read: {why}", "")


class _TagTooLong(Exception):
    """The parser would hold all of it in memory, several times."""


class _BoundedTags:
    """The file, for the parser; raises _TagTooLong where no tag ends for too long."""

    def __init__(self, file: CountingFile):
        self._file = file
        self._unended = 0

    def read(self, size: int = -1) -> bytes:
        """Read, as a file does."""
        data = self._file.read(size)
        end = data.rfind(b">")
        self._unended = len(data) - end - 1 if end >= 0 else self._unended + len(data)
        if self._unended > _LONGEST_TAG:
            raise _TagTooLong(f"holds a tag or text longer than {_LONGEST_TAG >> 20} MiB")
        return data


def _children_of_root(
    events: "etree.iterparse", file: CountingFile
) -> Iterator[tuple[etree._Element | None, bool]]:
    """None once the root is known, then each child when complete and whether it was too large."""
    depth = began = 0
    for event, element in events:
        if event == "start":
            if depth == 0:
                _check_root(element)
                yield None, False
            elif depth == 1:
                began = file.position
            depth += 1
            continue
        depth -= 1
        oversized = depth > 0 and file.position - began > MAX_LINE
        if depth == 1:
            yield element, oversized
        if depth == 1 or oversized:
            _forget(element)


def _check_root(root: Any) -> None:
    if root.getroottree().docinfo.doctype:
        raise UnreadableCatalog("has a document type (DTD); leave it out")
    if len(root.nsmap) > _MOST_NAMESPACES:
        raise UnreadableCatalog(f"declares over {_MOST_NAMESPACES} namespaces; leave them out")
    if _name(root) != "catalog":
        raise UnreadableCatalog(f"holds <{_name(root)}>; expected <catalog> with <product> in it")


def _forget(element: etree._Element) -> None:
    """Free the element and what stood before it; it stays itself until the next one is there."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _product(element: Any, *, oversized: bool) -> ProductUpdate | LineError:
    try:
        if oversized:
            raise ValueError(TOO_LONG)
        if _name(element) != "product":
            raise ValueError(f"<{_name(element)}> is no <product>")
        return product_update(_fields(element))
    except ValueError as error:
        text = etree.tostring(element, encoding="unicode", with_tail=False)[:EXCERPT]
        return LineError(element.sourceline, str(error), text)


def _fields(product: etree._Element) -> dict[str, object]:
    fields: dict[str, object] = {}
    for child in product:
        name = _name(child)
        if name in fields:
            raise ValueError(f"<{name}> stands there twice")
        fields[name] = (_texts(child) if name == "attributes" else _text(child)) or None
    return fields


def _texts(parent: etree._Element) -> dict[str, str]:
    texts: dict[str, str] = {}
    for child in parent:
        if _name(child) in texts:
            raise ValueError(f"attribute <{_name(child)}> stands there twice")
        texts[_name(child)] = _text(child)
    return {name: text for name, text in texts.items() if text}


def _text(element: etree._Element) -> str:
    if len(element):
        raise ValueError(f"<{_name(element)}> must hold text, not <{_name(element[0])}>")
    return (element.text or "").strip()


def _name(element: etree._Element) -> str:
    """Its name without namespace."""
    return str(element.tag).rpartition("}")[2]
