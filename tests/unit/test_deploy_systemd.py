"""The unit against systemd's own judgement, and against the daemon's settings and limits."""

import os
import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

from cryptography.fernet import Fernet

from daemon.settings import load_settings
from daemon.supervisor import DRAIN_SECONDS
from daemon.systemd import EVERY_SECONDS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNIT = DEPLOY / "systemd/spartoo-sync.service"
PROGRAM = "/opt/spartoo-sync/bin/spartoo-sync"


def analyze(*arguments: str) -> str:
    tool = shutil.which("systemd-analyze")
    assert tool, "systemd-analyze is not installed: deploy/dev/checkers.sh"
    done = subprocess.run(
        [tool, "--no-pager", *arguments],
        env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def values(key: str) -> list[str]:
    """Every value of a key of the unit, in order."""
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE)


def seconds(key: str) -> float:
    (value,) = values(key)
    return float(value)


def test_its_exposure_is_under_two() -> None:
    report = analyze("security", "--offline=true", str(UNIT))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert found, report
    assert float(found[1]) < 2.0


def complaints(directory: Path, unit: str) -> list[str]:
    """What verify says of the unit, on a machine where the program is installed."""
    program = Path(sys.executable).with_name("spartoo-sync")
    copy = directory / UNIT.name
    copy.write_text(unit.replace(PROGRAM, str(program)))
    return [line for line in analyze("verify", str(copy)).splitlines() if UNIT.name in line]


def test_it_verifies_without_a_word(tmp_path: Path) -> None:
    unit = UNIT.read_text()
    assert complaints(tmp_path, unit) == []
    (complaint,) = complaints(tmp_path, unit.replace("DynamicUser", "DynamikUser"))
    assert "DynamikUser" in complaint


def test_the_daemon_accepts_the_settings_of_unit_and_example(tmp_path: Path) -> None:
    secrets = {
        "database_url": "postgresql://spartoo@db.internal/spartoo",
        "amqp_url": "amqps://spartoo@broker.internal/koongo",
        "secret_key": Fernet.generate_key().decode(),
        "api_keys_shoes-fr": "0123456789ABCDEF",
    }
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    environ = dict(value.split("=", 1) for value in values("Environment"))
    filled = {
        name: value.replace("%d", str(tmp_path)).replace("%S", "/var/lib")
        for name, value in environ.items()
    }
    config = tmp_path / "spartoo-sync.toml"
    example = (DEPLOY / "systemd/spartoo-sync.toml").read_text()
    config.write_text(example.replace("/run/credentials/spartoo-sync.service", str(tmp_path)))
    settings = load_settings(config, filled)
    assert settings.state_dir == Path("/var/lib/spartoo-sync")
    assert settings.amqp_url is not None
    assert settings.connections[0].api_key.get_secret_value() == "0123456789ABCDEF"


def test_every_credential_is_loaded_that_is_named() -> None:
    named = {value.split("%d/")[1] for value in values("Environment") if "%d/" in value}
    loaded = dict(value.split(":", 1) for value in values("LoadCredential"))
    assert named <= loaded.keys()
    assert loaded.keys() - named == {"api_keys"}
    readme = (DEPLOY / "systemd/README.md").read_text()
    assert all(f"credentials/{name}" in readme or f"`{name}`" in readme for name in loaded)


def test_its_limits_leave_the_daemon_its_own() -> None:
    assert seconds("WatchdogSec") > 3 * EVERY_SECONDS
    assert seconds("TimeoutStopSec") > DRAIN_SECONDS + 4
    assert seconds("TimeoutStartSec") >= 30


def test_it_runs_a_command_that_exists() -> None:
    unit = RawConfigParser(strict=False)
    unit.read(UNIT)
    assert unit["Service"]["ExecStart"].split() == [
        PROGRAM, "run", "--config", "/etc/spartoo-sync/spartoo-sync.toml",
    ]  # fmt: skip
    assert unit["Service"]["RestartPreventExitStatus"] == "2"
