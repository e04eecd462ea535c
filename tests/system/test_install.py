"""What the Dockerfile and the systemd layout start from: deploy/install.sh, as it is.

Like `make`, it asks the package index.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.daemon_process import environment

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("daemon", "adapters", "statemachine")


def run(*command: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    cache = {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))}
    return subprocess.run(
        command,
        env=environment(directory) | index | cache,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.timeout(900)
def test_an_installation_is_whole_and_runs(tmp_path: Path) -> None:
    target = tmp_path / "spartoo-sync"
    installed = run(ROOT / "deploy/install.sh", target, directory=tmp_path)
    assert installed.returncode == 0, installed.stderr
    (packages,) = target.glob("lib/python3*/site-packages")
    for package in PACKAGES:
        files = [p for p in (ROOT / package).rglob("*") if p.is_file() and p.suffix != ".pyc"]
        assert files
        for file in files:
            copy = packages / file.relative_to(ROOT)
            assert copy.read_bytes() == file.read_bytes(), file
    assert not list(packages.glob("pip*"))
    assert not list(packages.glob("*hypothesis*"))
    version = run(target / "bin/spartoo-sync", "--version", directory=tmp_path)
    assert version.stdout.startswith("spartoo-sync "), version.stderr
    told = run(target / "bin/spartoo-sync", "db", "upgrade", directory=tmp_path)
    assert "SPARTOO_SYNC_DATABASE_URL" in told.stderr, "there is no embedded PostgreSQL in it"
    again = run(ROOT / "deploy/install.sh", target, directory=tmp_path)
    assert again.returncode == 1
    assert "exists already" in again.stderr
