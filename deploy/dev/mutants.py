"""Changes the program a little, many times, and tells which changes no test notices.

`mutants.py PACKAGES [PART…]`: each part is mutated in a copy of its own and judged by the tests
nearest to it. SAMPLE=200 draws so many mutants of each part with SEED; without it all are tried.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache/mutants"
KILLED = {1, 3, 24, 36, 152, 255, -24, -11}  # a test failed, or never ended
LEAST = 90  # percent


class Part(NamedTuple):
    """Files that are mutated, and the tests that judge them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = {
    "core": Part(
        ("statemachine/*",),
        ("tests/unit/test_core_*.py", "tests/unit/test_return_*.py", "tests/unit/test_words.py"),
    ),
    "relay": Part(
        ("daemon/relay.py",),
        ("tests/integration/test_relay_*.py", "tests/integration/test_postgres_events.py"),
    ),
    "dispatcher": Part(("daemon/dispatcher.py",), ("tests/integration/test_order_calls.py",)),
    "commands": Part(
        ("daemon/command_reader.py",),
        (
            "tests/unit/test_command_reader.py",
            "tests/integration/test_reading_commands.py",
            "tests/integration/test_read_first.py",
        ),
    ),
    "stock": Part(
        ("daemon/stock_pusher.py", "daemon/steps.py"),
        (
            "tests/integration/test_stock_pusher.py",
            "tests/integration/test_stock_numbers.py",
            "tests/integration/test_product_race.py",
        ),
    ),
}
FOLDERS = {"statemachine", "adapters", "daemon", "deploy"}
# Tests that draw their own examples take long and prove little about one mutant.
SLOW = "properties"
_SETTINGS = """
[tool.mutmut]
source_paths = {sources}
only_mutate = {files}
also_copy = {others}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
pytest_add_cli_args_test_selection = {tests}
use_git_change_detection = false
track_dependencies = false
"""


def main() -> None:
    """Try every part that was asked for, and print what survived."""
    packages, *names = sys.argv[1:]
    unknown = set(names) - set(PARTS)
    if unknown:
        raise SystemExit(
            f"No such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        )
    shares = [_try(name, Path(packages)) for name in names or PARTS]
    if min(shares) < LEAST:
        raise SystemExit(f"Fewer than {LEAST} % of the mutants of a part were killed: see above.")


def _try(name: str, packages: Path) -> float:
    """Mutate one part; the percentage that was killed."""
    directory = _copy(name)
    environ = os.environ | {"PYTHONPATH": str(packages)}
    log = directory / "mutants.log"
    _mutmut(directory, environ, log, "none")  # generates them and measures the tests
    drawn = _draw(directory)
    if not drawn:
        raise SystemExit(f"{name}: nothing was mutated; {log} says why")
    _mutmut(directory, environ, log, *drawn)
    return _report(name, directory, drawn)


def _copy(name: str) -> Path:
    """The program and its tests, with the settings of this part."""
    directory = CACHE / name
    shutil.rmtree(directory, ignore_errors=True)
    for folder in (*FOLDERS, "tests"):
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, directory / folder, ignore=no_caches)
    part = PARTS[name]
    tests = sorted(
        str(path.relative_to(ROOT))
        for pattern in part.tests
        for path in ROOT.glob(pattern)
        if SLOW not in path.name
    )
    sources = sorted({file.split("/")[0] for file in part.files})
    settings = _SETTINGS.format(
        sources=json.dumps(sources),
        others=json.dumps(sorted(FOLDERS - {*sources})),  # else what is mutated is copied over
        files=json.dumps(part.files),
        tests=json.dumps(tests),
    )
    project = (ROOT / "pyproject.toml").read_text()
    (directory / "pyproject.toml").write_text(project + settings)
    return directory


def _mutmut(directory: Path, environ: dict[str, str], log: Path, *mutants: str) -> None:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "2", *mutants]
    with log.open("ab") as output:
        subprocess.run(
            command, cwd=directory, env=environ, stdout=output, stderr=output, check=False
        )


def _results(directory: Path) -> Iterator[tuple[str, str, int | None]]:
    """Of every mutant: its file, its name, and what the tests ended with."""
    for path in sorted(directory.glob("mutants/**/*.meta")):
        file = str(path.relative_to(directory / "mutants").with_suffix(""))
        for mutant, code in json.loads(path.read_text())["exit_code_by_key"].items():
            yield file, mutant, code


def _draw(directory: Path) -> list[str]:
    every = [mutant for _, mutant, _ in _results(directory)]
    size, seed = int(os.environ.get("SAMPLE") or 0), int(os.environ.get("SEED") or 1)
    return Random(seed).sample(every, size) if 0 < size < len(every) else every


def _report(name: str, directory: Path, drawn: list[str]) -> float:
    """Print killed and survived by file, and who survived; the percentage killed."""
    tried, killed, alive = Counter[str](), Counter[str](), list[str]()
    for file, mutant, code in _results(directory):
        if mutant in set(drawn):
            tried[file] += 1
            killed[file] += code in KILLED
            if code not in KILLED:
                alive.append(mutant)
    print(f"\n{name}\n| file | mutants | killed | % |\n|---|---|---|---|")
    for file, count in sorted(tried.items()):
        print(f"| {file} | {count} | {killed[file]} | {100 * killed[file] / count:.1f} |")
    share = 100 * killed.total() / tried.total()
    print(
        f"| all | {tried.total()} | {killed.total()} | {share:.1f} |\n\nsurvived:", *alive, sep="\n"
    )
    print(f"(in .cache/mutants/{name}, `mutmut show NAME` shows one)")
    return share


main()
