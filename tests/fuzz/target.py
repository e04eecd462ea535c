"""What a fuzzer is given: a function of bytes, where to begin, and its share of the inputs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`try_input` returns, or raises what nobody promised: that is a finding.

    `seeds` are inputs to begin with; `share` counts against the other targets' shares.
    """

    name: str
    try_input: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    share: int = 1
    longest: int = 4096  # bytes of an input


def check_text(text: str) -> None:
    """PostgreSQL keeps it and JSON can say it."""
    assert "\0" not in text
    text.encode()
