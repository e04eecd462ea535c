"""Whatever comes, reading ends, and only with the two errors that are promised."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ports import TransportFault, UnreadableOrder
from adapters.spartoo.answer import read_answer
from adapters.spartoo.order import SpartooOrder
from tests.unit.spartoo_exports import everything, export, order, reader

VALID = export(
    order("A1", "<shipping_name>Zoé &amp; &eacute;<![CDATA[ & ]]></shipping_name>"),
    order("B2", "<!-- c --><errors><error><id>1</id></error></errors>"),
    order("C3", "<linked><order>1</order></linked>"),
).encode()
PIECES = [
    b"<order>", b"</order>", b"<orders>", b"</orders>", b"<root>", b"</root>", b"<order/>", b"<",
    b">", b"&", b"&#0;", b"&x;", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?", b"?>", b"\x00",
    b"\xff", b"\xe9", b"<orders_id>", b"</orders_id>", b"-1", b"<statut><id>-7</id></statut>",
    b"<!DOCTYPE a>", b"\xef\xbb\xbf", b"\xff\xfe", b"]]", b"'", b'"', b" ", b"\n",
]  # fmt: skip

pieces = st.one_of(st.sampled_from(PIECES), st.binary(max_size=8))
places = st.integers(0, len(VALID))


def drain(chunks: list[bytes]) -> list[SpartooOrder]:
    """All orders up to the end or to a fault, each tried."""
    export_reader = reader()
    found: list[SpartooOrder] = []
    with suppress(TransportFault):
        found.extend(everything(export_reader, chunks))
    for one in found:
        with suppress(UnreadableOrder):
            one.read()
    return found


@settings(max_examples=300)
@given(st.lists(pieces, max_size=40), st.booleans())
def test_anything(parts: list[bytes], in_list: bool) -> None:
    body = b"".join(parts)
    if in_list:
        body = b"<root><orders>" + body + b"</orders></root>"
    whole = drain([body])
    assert drain([body[start : start + 3] for start in range(0, len(body), 3)]) == whole


@settings(max_examples=300)
@given(st.lists(st.tuples(places, st.integers(0, 12), pieces), min_size=1, max_size=4))
def test_a_valid_export_with_changes(changes: list[tuple[int, int, bytes]]) -> None:
    body = VALID
    for place, removed, put in changes:
        body = body[:place] + put + body[place + removed :]
    whole = drain([body])
    assert drain([body[:100], body[100:350], body[350:]]) == whole


def _end_of(one: SpartooOrder) -> int:
    """Where in VALID that order ends."""
    start = VALID.index(f"<orders_id>{one.id}<".encode())
    nested = VALID.find(b"</linked>", start) if one.id == "C3" else start
    return VALID.index(b"</order>", nested) + len(b"</order>")


@settings(max_examples=200)
@given(places)
def test_a_cut_keeps_what_was_complete(cut: int) -> None:
    complete = [one for one in drain([VALID]) if _end_of(one) <= cut]
    assert drain([VALID[:cut]]) == complete


@settings(max_examples=300)
@given(st.lists(pieces, max_size=20), st.booleans())
def test_an_answer_to_a_change(parts: list[bytes], in_root: bool) -> None:
    body = b"".join(parts)
    with suppress(TransportFault):
        answer = read_answer(b"<root>" + body + b"</root>" if in_root else body)
        assert isinstance(answer.code, int)
