"""No answer, however hostile, holds the event loop: work comes in steps, and there is an end."""

import gc
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import pytest

from adapters.ports import TransportFault, UnreadableOrder
from adapters.spartoo.answer import BadAnswer, read_root_and_result
from adapters.spartoo.effort import check_size
from adapters.spartoo.element import LARGEST_ELEMENT, MOST_NAMESPACES, MOST_TAGS
from tests.unit.hostile_answers import SHAPES
from tests.unit.spartoo_exports import export, ids, order, read_export, reader

CHUNK = 1 << 16
LONGEST_STEP = 0.1  # seconds of this thread's own time; a loaded machine takes no more of it
MOST = 15.0  # for a whole answer


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """What the rest of the suite has left is none of a step's work."""
    gc.disable()
    yield
    gc.enable()


def steps(body: bytes) -> Iterator[Any]:
    """What the reader hands out, step by step, until the end or a fault."""
    export_reader = reader()
    chunks = (body[start : start + CHUNK] for start in range(0, len(body), CHUNK))
    with suppress(TransportFault):
        yield from chain.from_iterable(map(export_reader.feed, chunks))
        yield from export_reader.finish()


def longest_step(body: bytes) -> float:
    """Seconds of the longest step; to read an order is one too."""
    longest, began = 0.0, time.thread_time()
    last = began
    for item in steps(body):
        handed_out = time.thread_time()
        if item is not None:
            with suppress(UnreadableOrder):
                item.read()
        now = time.thread_time()
        longest = max(longest, handed_out - last, now - handed_out)
        last = time.thread_time()
        assert last - began < MOST, "this answer costs too much"
    return max(longest, time.thread_time() - last)


@pytest.mark.parametrize("name", SHAPES)
def test_no_step_is_long_and_there_is_an_end(name: str) -> None:
    assert longest_step(SHAPES[name](120_000)) < LONGEST_STEP


@pytest.mark.parametrize("name", ["one long text", "tiny elements", "products that can be read"])
def test_no_step_is_long_for_the_largest_order_that_is_read(name: str) -> None:
    assert longest_step(SHAPES[name](LARGEST_ELEMENT - 500)) < LONGEST_STEP


@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_that_is_read_whole_has_an_end_too(name: str) -> None:
    began = time.thread_time()
    with suppress(TransportFault):
        read_root_and_result(SHAPES[name](120_000))
    assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("<x/>" * MOST_TAGS, f"over {MOST_TAGS} tags"),
        ("<x xmlns='u'/>" * (MOST_NAMESPACES + 1), f"over {MOST_NAMESPACES} namespaces"),
    ],
)
@pytest.mark.parametrize("by_parser", ["", "<!-- -->"])
def test_an_order_that_costs_too_much_is_put_aside_alone(
    extra: str, told: str, by_parser: str
) -> None:
    found = read_export(export(order(1), order(2, by_parser + extra), order(3)))
    assert ids(found) == ["1", "2", "3"]
    assert [found[place].read().order_id for place in (0, 2)] == ["1", "3"]
    with pytest.raises(UnreadableOrder, match=told):
        found[1].read()


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("namespaces of the frame", 10_000, "over 16 namespaces outside its orders"),
        ("a long namespace of the frame", 120_000, "over 65536 bytes outside its orders"),
        ("broken orders after a large frame", 120_000, "too broken"),
        ("comments without an end", 120_000, "too broken"),
    ],
)
def test_what_costs_too_much_as_a_whole_is_a_fault_that_says_so(
    name: str, size: int, told: str
) -> None:
    with pytest.raises(TransportFault, match=told):
        read_export(SHAPES[name](size))


def test_an_export_of_parts_without_an_id_ends_in_a_fault() -> None:
    with pytest.raises(TransportFault, match="over 10000 parts that show no id"):
        read_export(export("<order/>" * 10_001))


def test_an_export_may_be_large_and_packed_but_not_without_bounds() -> None:
    check_size(2 << 30, 100 << 20)
    check_size(60 << 20, 60 << 10)
    for unpacked, packed, told in (
        (300 << 20, 306 << 10, "swells over 200 times"),
        (5 << 30, 5 << 30, "over 4294967296 bytes"),
    ):
        with pytest.raises(BadAnswer, match=told):
            check_size(unpacked, packed)
