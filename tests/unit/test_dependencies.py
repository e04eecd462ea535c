"""The offline check of dependencies finds what it is for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "dev" / "dependencies.py"
HASH = "    --hash=sha256:" + "0" * 64


@pytest.fixture(scope="module")
def dependencies() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dependencies", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_environment_is_what_the_lock_says(dependencies: ModuleType) -> None:
    assert dependencies.main() == 0


def test_what_is_not_pinned_or_bears_no_hash_is_named(dependencies: ModuleType) -> None:
    lock = f"good==1.0 ; sys_platform == 'linux' \\\n{HASH}\nloose>=2 \\\n{HASH}\nbare==3\n"
    versions, faults = dependencies.locked(lock)
    assert versions == {"good": "1.0"}
    assert faults == [
        "requirements.lock: not pinned with ==: loose>=2 \\",
        "requirements.lock: bare has no hash",
    ]


def test_what_is_installed_besides_or_otherwise_is_named(dependencies: ModuleType) -> None:
    found = {"good": "1.0", "older": "1", "pip": "9", "spartoo-order-sync": "0", "stray": "5"}
    assert dependencies.differences({"good": "1.0", "older": "2", "absent": "1"}, found) == [
        "older 1 is installed, the lock says 2",
        "stray 5 is installed, the lock says nothing of it",
    ]
