"""The repository itself: what lies where, and what the lock may hold."""

import os
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "deploy/dev/requirements.lock"
LOCKS = [
    LOCK,
    *(ROOT / f"deploy/{name}.lock" for name in ("runtime", "build", "dev/fuzz", "dev/mutants")),
]
TOP_LEVEL = {
    "daemon", "statemachine", "adapters", "deploy", "tests", "pyproject.toml", "README.md",
    "Makefile", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
}  # fmt: skip


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """What git keeps or would keep."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git work tree")
    listed = run(
        "git", "-c", f"safe.directory={ROOT}", "ls-files", "-z",
        "--cached", "--others", "--exclude-standard",
    )  # fmt: skip
    assert listed.returncode == 0, listed.stderr
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def locked(lock: Path = LOCK) -> dict[str, str]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def test_top_level_holds_only_what_it_should(files: list[Path]) -> None:
    top = {path.relative_to(ROOT).parts[0] for path in files}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_no_cache_of_a_tool_is_tracked(files: list[Path]) -> None:
    caches = re.compile(
        r"(^|/)(__pycache__|\.?venv|\.cache|\.\w*_cache|\.hypothesis|\.schemathesis|mutants|dist)/|\.pyc$"
    )
    names = [str(path.relative_to(ROOT)) for path in files]
    assert [name for name in names if caches.search(name)] == []


def test_no_two_tests_bear_one_name(files: list[Path]) -> None:
    """Else pytest cannot collect them together, and the whole suite does not run."""
    names = Counter(path.name for path in files if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_machine_paths(files: list[Path]) -> None:
    machine = re.compile("/" + "work/|/" + "root/")
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in files}
    found = [
        f"{path.relative_to(ROOT)}:{text[: hit.start()].count(chr(10)) + 1}"
        for path, text in texts.items()
        for hit in machine.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_names_no_index_and_no_host(lock: Path) -> None:
    named = re.findall(r"https?:|file:|git\+|--(?:index|extra|find|trusted)\S*", lock.read_text())
    assert named == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_locked_requirement_is_pinned_and_hashed(lock: Path) -> None:
    joined = lock.read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip()]
    wrong = [x for x in lines if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", x)]
    assert lines
    assert wrong == []


def test_lock_fits_the_declared_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["embedded"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    pins = locked()
    for requirement in map(Requirement, declared):
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked: make lock"
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_what_is_installed_is_what_was_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        ROOT / "deploy/runtime.lock": project["project"]["dependencies"],
        ROOT / "deploy/build.lock": project["build-system"]["requires"],
    }
    for lock, requirements in wanted.items():
        pins = locked(lock)
        assert pins.items() <= locked().items()
        names = {
            canonicalize_name(requirement.name) for requirement in map(Requirement, requirements)
        }
        assert names <= pins.keys()


def test_every_make_target_is_explained() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    listed = set(re.findall(r"make (\w+)\t", run("make", "--silent").stdout))
    assert listed == set(phony[1].split()) - {"venv", "broker", "chromium", "checkers"}


def test_demo_hands_its_time_over_as_an_option() -> None:
    assert "spartoo-sync demo --seconds 30" in run("make", "-n", "demo", "SECONDS=30").stdout
    assert "--seconds" not in run("make", "-n", "demo").stdout


def test_python_that_is_old_or_does_not_run_is_not_chosen(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12"):
        broken = tmp_path / name
        broken.write_text("#!/bin/sh\nexit 1\n")
        broken.chmod(0o755)
    chosen = run("deploy/dev/python.sh", PATH=f"{tmp_path}:{os.environ['PATH']}", PYTHON="")
    assert chosen.returncode == 0, chosen.stderr
    assert not chosen.stdout.startswith(str(tmp_path))

    refused = run("deploy/dev/python.sh", PYTHON=str(tmp_path / "python3.12"))
    assert refused.returncode == 1
    assert "Python 3.11 or newer is needed" in refused.stderr


@pytest.mark.parametrize("variable", ["SPARTOO_SYNC_AMQP_URL", "SPARTOO_SYNC_AMQP_URL_FILE"])
def test_no_broker_is_installed_where_one_is_given(tmp_path: Path, variable: str) -> None:
    for tool in ("apt-get", "sudo"):
        forbidden = tmp_path / tool
        forbidden.write_text("#!/bin/sh\necho called >&2\nexit 1\n")
        forbidden.chmod(0o755)
    given = run(
        "deploy/dev/rabbitmq.sh",
        "SPARTOO_SYNC_AMQP_URL",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        **{variable: "amqp://127.0.0.1/"},
    )
    assert (given.returncode, given.stderr) == (0, "")


@pytest.mark.parametrize("script", ["deploy", "deploy/dev", ".ci"])
def test_scripts_can_be_run_and_parse(script: str) -> None:
    scripts = [p for p in (ROOT / script).iterdir() if p.suffix == ".sh" or p.name == "run"]
    assert scripts
    for path in scripts:
        assert os.access(path, os.X_OK), path
        assert run("bash", "-n", str(path)).returncode == 0, path
        assert "set -euo pipefail" in path.read_text(), path
