"""Where an export may be cut into its items: at every tag of an item or of their list."""

import re
from functools import lru_cache
from typing import NamedTuple

from adapters.spartoo.element import LARGEST_ELEMENT, LONGEST_ID


class Edges(NamedTuple):
    """Where to cut. Every tag of an item or a list is an edge, so an item ends only at one."""

    edge: re.Pattern[bytes]
    piece_start: re.Pattern[bytes]
    end_or_next: re.Pattern[bytes]  # group 1 is the end tag of an item
    list_end: re.Pattern[bytes]
    plain_start: re.Pattern[bytes]  # of an item whose first element is its id
    plain_end: bytes
    not_plain: re.Pattern[bytes]  # inside an item: only the parser can say where it ends

    def piece_end(self, text: bytes, start: int) -> int | None:
        """Where a broken item ends: behind its end tag, or before the next item or the list's end.

        None when that is not in the text.
        """
        found = self.end_or_next.search(text, start)
        return None if found is None else found.end() if found[1] else found.start()

    def plain_item(self, text: bytes, position: int, last: int) -> tuple[int, int, bytes] | None:
        """Where an item begins and ends, and its id, if nothing in it can hide its end.

        `last` is where the first end tag of an item stands behind `position`, -1 for nowhere.
        """
        if last < 0 or (start := self.plain_start.match(text, position)) is None:
            return None
        begin, end = start.end(), last + len(self.plain_end)
        if end - begin > LARGEST_ELEMENT or self.not_plain.search(text, start.end(1), last):
            return None
        return begin, end, start[1]


@lru_cache
def edges_of(tag: str, id_tag: str) -> Edges:
    """The edges of items of that tag, whose id stands in an element of its own."""
    item, id_ = tag.encode(), id_tag.encode()
    return Edges(
        re.compile(rb"<(?:/%ss?\b\s*|%ss?\b[^<>]*)>?" % (item, item)),
        re.compile(rb"(?>\s+|<!--.*?-->|<\?.*?\?>)*+<%s(?=[\s/>])" % item, re.DOTALL),
        re.compile(rb"<(?:(/%s\s*+>)|%s[\s/>]|/%ss\s*+>)" % (item, item, item)),
        re.compile(rb"</%ss\s*>" % item),
        re.compile(
            rb"\s*+(?=<%s>\s*<%s>\s*([^\s<>&\]]{1,%d})\s*</%s>)" % (item, id_, LONGEST_ID, id_)
        ),
        b"</%s>" % item,
        re.compile(rb"<(?:/?%ss?[\s/>]|[!?])" % item),
    )
