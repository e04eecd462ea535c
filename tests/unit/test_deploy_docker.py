"""The Dockerfile and compose.yaml: linted, valid, and true to the daemon's settings and paths."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml

from daemon.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "deploy/docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def instructions(name: str) -> list[str]:
    """The arguments of every such instruction, lines joined."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [line.removeprefix(name).strip() for line in lines if line.startswith(name + " ")]


def image_environment() -> dict[str, str]:
    (env,) = instructions("ENV")
    return dict(assignment.split("=", 1) for assignment in env.split())


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What secrets.sh makes."""
    copy = tmp_path_factory.mktemp("docker")
    shutil.copy(DOCKER / "secrets.sh", copy)
    subprocess.run([copy / "secrets.sh"], check=True, timeout=30)
    return copy / "secrets"


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run(
        [hadolint, "--no-color", DOCKER / "Dockerfile"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_builder_is_sent_all_that_is_copied_and_nothing_else() -> None:
    copied = {
        source
        for copy in instructions("COPY")
        if not copy.startswith("--from")
        for source in copy.split()[:-1]
    }
    assert all((ROOT / source).exists() for source in copied)
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    expanded = {str(p.relative_to(ROOT)) for pattern in sent for p in ROOT.glob(pattern)}
    assert expanded == copied


def test_the_image_is_pinned_small_and_not_root() -> None:
    (base,) = instructions("ARG")
    assert base.split("=")[1].split(":")[1].count(".") == 2, "a patch release"
    assert instructions("FROM") == ["${BASE} AS build", "${BASE}"]
    assert instructions("USER") == ["10001:10001"]
    (volume,) = instructions("VOLUME")
    assert volume == image_environment()["SPARTOO_SYNC_STATE_DIR"]


def test_the_daemon_accepts_the_images_settings(secrets: Path) -> None:
    token = {"SPARTOO_SYNC_HTTP_TOKEN_FILE": str(secrets / "http_token")}
    ours = {k: v for k, v in image_environment().items() if k.startswith("SPARTOO_SYNC_")}
    settings = load_settings(None, ours | token)
    assert instructions("EXPOSE") == [str(settings.http_port)]
    (check,) = instructions("HEALTHCHECK")
    assert f"127.0.0.1:{settings.http_port}/healthz" in check


def test_compose_is_valid() -> None:
    compose_spec.PyCompose.from_json(json.dumps(COMPOSE))
    with pytest.raises(ValueError, match="unknown"):
        compose_spec.PyCompose.from_json(json.dumps({"services": {"a": {"unknown": 1}}}))


def test_the_daemon_accepts_what_compose_gives_it(secrets: Path, tmp_path: Path) -> None:
    service = SERVICES["spartoo-sync"]
    named = image_environment() | service["environment"]
    given = {k: v for k, v in named.items() if k.startswith("SPARTOO_SYNC_")}
    files = {k: v.replace("/run/secrets", str(secrets)) for k, v in given.items()}
    settings = load_settings(DOCKER / "spartoo-sync.toml", files)
    assert settings.secret_key is not None
    assert settings.connections[0].settings.base_url == "http://simulator:9900/mp"
    used = {Path(v).name for v in service["environment"].values() if "/run/secrets/" in v}
    assert used == set(service["secrets"])


def test_every_secret_is_declared_and_made(secrets: Path) -> None:
    used = {
        secret if isinstance(secret, str) else secret["source"]
        for service in SERVICES.values()
        for secret in service.get("secrets", [])
    }
    assert used == COMPOSE["secrets"].keys()
    for declared in COMPOSE["secrets"].values():
        assert (secrets.parent / declared["file"]).read_text().strip()
    first = {path: path.read_text() for path in secrets.iterdir()}
    subprocess.run([secrets.parent / "secrets.sh"], check=True, timeout=30)
    assert {path: path.read_text() for path in secrets.iterdir()} == first
    assert secrets.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_confined_and_reached_from_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].split(":")[1]
    assert tag.removeprefix("v")[0].isdigit()
    assert "." in tag
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (DOCKER / source).exists() if source[0] == "." else source in COMPOSE["volumes"]


def test_commands_of_our_image_are_understood() -> None:
    for service in SERVICES.values():
        if service["image"].startswith("spartoo-sync:"):
            shown = subprocess.run(
                [sys.executable, "-m", "daemon.cli", *service["command"], "--help"],
                env=os.environ | {"TERM": "dumb"},
                capture_output=True,
                timeout=60,
                check=False,
            )
            assert shown.returncode == 0, service["command"]


def test_prometheus_and_grafana_find_their_files() -> None:
    mounts = dict(volume.split(":")[:2][::-1] for volume in SERVICES["grafana"]["volumes"])
    providers = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/dashboards/spartoo-sync.yaml").read_text()
    )["providers"]
    assert f"{providers[0]['options']['path']}/spartoo-sync.json" in mounts
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())
    (target,) = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == f"spartoo-sync:{image_environment()['SPARTOO_SYNC_HTTP_PORT']}"
