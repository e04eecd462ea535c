"""Fuzz the targets one after the other: python -m tests.fuzz.run RUNS [TARGET…]

RUNS inputs in all, dealt out by the targets' shares. What is found lies in .cache/fuzz/findings;
`python -m tests.fuzz.replay TARGET FILE` tries it again. What is learned of inputs that lead further
is kept in .cache/fuzz/corpus, for the next run.
"""

import hashlib
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

CACHE = Path(__file__).parents[2] / ".cache" / "fuzz"
_LIMITS = ("-timeout=10", "-rss_limit_mb=512", "-print_final_stats=1", "-verbosity=1")
_HEADER = (
    "target",
    "inputs",
    "edges",
    "features",
    "inputs/s",
    "slowest s",
    "peak MB",
    "replayed: growth",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one target's run came to."""

    cells: tuple[str, ...]
    failure: str | None


def main(arguments: Sequence[str]) -> int:
    """Run them, print a table; 1 when anything was found."""
    runs, names = int(arguments[0]), arguments[1:] or list(TARGETS)
    chosen = [TARGETS[name] for name in names]
    shares = sum(target.share for target in chosen)
    print(f"Python {platform.python_version()}, {platform.machine()}; {runs:,} inputs in all")
    _row(_HEADER)
    failures = []
    for target in chosen:
        outcome = _fuzz(target, runs * target.share // shares)
        _row(outcome.cells)
        if outcome.failure is not None:
            failures.append(outcome.failure)
    print(*failures, sep="\n")
    return 1 if failures else 0


def corpus_of(target: Target) -> Path:
    """The folder of its inputs, the seeds among them."""
    folder = CACHE / "corpus" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    return folder


def _fuzz(target: Target, runs: int) -> Outcome:
    corpus, findings = corpus_of(target), CACHE / "findings"
    findings.mkdir(exist_ok=True)
    options = (*_LIMITS, f"-runs={runs}", f"-artifact_prefix={findings}/{target.name}-")
    log = CACHE / f"{target.name}.log"
    began = monotonic()
    with log.open("wb") as file:
        fuzzer = _python("tests.fuzz.child", target.name, *options, str(corpus), output=file)
    seconds = monotonic() - began
    text = log.read_text(encoding="utf-8", errors="replace")
    grown = _python("tests.fuzz.replay", target.name, output=subprocess.PIPE)
    told = grown.stdout.decode().strip().rpartition("\n")[2]
    failure = None
    if fuzzer.returncode:
        failure = f"{target.name}: a finding; {log} has it"
    elif grown.returncode:
        failure = f"{target.name}: {told}"
    return Outcome((target.name, *_figures(text, seconds), told), failure)


def _python(
    module: str, *arguments: str, output: IO[bytes] | int
) -> "subprocess.CompletedProcess[bytes]":
    command = (sys.executable, "-m", module, *arguments)
    return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)


def _figures(log: str, seconds: float) -> tuple[str, ...]:
    def last(pattern: str) -> str:
        found = re.findall(pattern, log)
        return f"{int(found[-1]):,}" if found else "?"

    runs = last(r"stat::number_of_executed_units:\s+(\d+)")
    stat = r"stat::{}:\s+(\d+)"
    return (
        runs,
        last(r"cov: (\d+)"),
        last(r"ft: (\d+)"),
        "?" if runs == "?" else f"{int(runs.replace(',', '')) / seconds:,.0f}",
        last(stat.format("slowest_unit_time_sec")),
        last(stat.format("peak_rss_mb")),
    )


def _row(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
