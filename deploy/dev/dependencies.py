#!/usr/bin/env python3
"""What can be said of the dependencies without a network; part of `make check`.

Every package of the lock is pinned and bears hashes, nothing is installed that the lock does not
name, and everything is installed in the version that it names.
"""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

LOCK = Path(__file__).parent / "requirements.lock"
OURS = "spartoo-order-sync"
BRINGS_THE_VENV = {"pip", "setuptools"}  # by venv itself, of whatever version

_PINNED = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^ ;\\]+)(?P<rest>.*)", re.DOTALL)


def normal(name: str) -> str:
    """The name as the lock spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> tuple[dict[str, str], list[str]]:
    """Versions by name, and what is wrong with the lock itself."""
    versions, faults = {}, []
    for entry in re.split(r"\n(?=\S)", text.strip()):
        found = _PINNED.fullmatch(entry)
        if found is None:
            faults.append(f"{LOCK.name}: not pinned with ==: {entry.splitlines()[0]}")
        elif "--hash=sha256:" not in found["rest"]:
            faults.append(f"{LOCK.name}: {found['name']} has no hash")
        else:
            versions[normal(found["name"])] = found["version"]
    return versions, faults


def installed() -> dict[str, str]:
    """Versions by name, in this environment."""
    return {normal(found.metadata["Name"]): found.version for found in distributions()}


def differences(versions: dict[str, str], found: dict[str, str]) -> list[str]:
    """Where this environment is not what the lock says."""
    return [
        f"{name} {version} is installed, the lock says {versions.get(name, 'nothing of it')}"
        for name, version in sorted(found.items())
        if name not in {OURS, *BRINGS_THE_VENV} and versions.get(name) != version
    ]


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    versions, faults = locked(LOCK.read_text(encoding="utf-8"))
    faults += differences(versions, installed())
    for fault in faults:
        print(fault)  # noqa: T201 - the output
    if faults:
        print("`make clean venv` installs what the lock names, and no more")  # noqa: T201 - as above
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
