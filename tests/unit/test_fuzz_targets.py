"""What `make fuzz` gives the fuzzer, tried without it: the seeds, and changes of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

TOKENS = [
    b"\0",
    b"\xff",
    b"<",
    b">",
    b'"',
    b"\\ud800",
    b"e999999999",
    b"NaN",
    b"&x;",
    b"]]>",
    b"-",
    b"\n",
]

changes = st.lists(
    st.tuples(
        st.integers(0, 2**16),
        st.integers(0, 8),
        st.sampled_from(TOKENS) | st.binary(max_size=4),
    ),
    min_size=1,
    max_size=4,
)
each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


@each_target
def test_every_seed(target: Target) -> None:
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        assert len(seed) <= target.longest
        target.try_input(seed)


@each_target
def test_seeds_with_changes(target: Target) -> None:
    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(st.sampled_from(list(target.seeds())), changes)
    def try_changed(seed: bytes, made: list[tuple[int, int, bytes]]) -> None:
        for place, removed, put in made:
            at = place % (len(seed) + 1)
            seed = seed[:at] + put + seed[at + removed :]
        target.try_input(seed)

    try_changed()
