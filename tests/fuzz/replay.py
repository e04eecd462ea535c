"""Inputs again, without the fuzzer: python -m tests.fuzz.replay TARGET [FILE…]

With files, each is tried. Without, the target's corpus is gone through until 10,000 inputs were
tried: the same inputs again must need no more memory.
"""

import gc
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.run import corpus_of
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_INPUTS = 10_000
_MOST_KB = 4096
_MOST_OBJECTS = 1000


def main(arguments: Sequence[str]) -> int:
    """Raises what an input raises; 1 when memory grows."""
    target = TARGETS[arguments[0]]
    if files := arguments[1:]:
        for name in files:
            target.try_input(Path(name).read_bytes())
        return 0
    objects, kilobytes = growth(target)
    print(f"{objects:+,} objects, {kilobytes:+,} KB")
    return 1 if objects > _MOST_OBJECTS or kilobytes > _MOST_KB else 0


def growth(target: Target) -> tuple[int, int]:
    """Objects and KB more after the corpus was gone through again and again."""
    inputs = [path.read_bytes() for path in sorted(corpus_of(target).iterdir())]
    for _ in range(2):
        _try_all(target, inputs)
    before = _memory()
    for _ in range(1 + _INPUTS // len(inputs)):
        _try_all(target, inputs)
    after = _memory()
    return after[0] - before[0], after[1] - before[1]


def _try_all(target: Target, inputs: Sequence[bytes]) -> None:
    for data in inputs:
        target.try_input(data)


def _memory() -> tuple[int, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return len(gc.get_objects()), pages * resource.getpagesize() // 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
