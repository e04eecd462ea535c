"""The manifests as kubectl renders them: valid, restricted, true to the daemon's settings."""

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cryptography.fernet import Fernet

from daemon.settings import load_settings
from daemon.uploads import KEPT_FREE, LARGEST_UPLOAD, MOST_AT_ONCE
from tests.unit.test_deploy_docker import image_environment

Manifest = dict[str, Any]

KUBERNETES = Path(__file__).resolve().parents[2] / "deploy/kubernetes"
OVERLAYS = ("production", "trial")
OF_THE_OPERATOR = {"ServiceMonitor", "PrometheusRule"}
SECRETS = {
    "database_url": "postgresql://spartoo@db.internal/spartoo",
    "amqp_url": "amqps://spartoo@broker.internal/koongo",
    "secret_key": Fernet.generate_key().decode(),
    "http_token": "a token of 16 or more",
}


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", KUBERNETES / "overlays" / overlay],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return tuple(yaml.safe_load_all(done.stdout))


def of(overlay: str, kind: str, name: str = "spartoo-sync") -> Manifest:
    (found,) = (
        m
        for m in rendered(overlay)
        if m["kind"] == kind and re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", m["metadata"]["name"])
    )
    return found


def pod(overlay: str) -> Manifest:
    spec: Manifest = of(overlay, "Deployment")["spec"]["template"]["spec"]
    return spec


def pods(overlay: str) -> list[Manifest]:
    return [m["spec"]["template"]["spec"] for m in rendered(overlay) if m["kind"] == "Deployment"]


def containers(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: Manifest, labels: Manifest) -> bool:
    return bool(selector) and selector.items() <= labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_schemas_accept_everything(overlay: str) -> None:
    version = kubernetes_validate.latest_version()
    for manifest in rendered(overlay):
        if manifest["kind"] not in OF_THE_OPERATOR:
            kubernetes_validate.validate(manifest, version, strict=True)
    broken = of(overlay, "Service") | {"spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_keeps_to_the_restricted_profile(overlay: str) -> None:
    for spec in pods(overlay):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        kinds = {kind for v in spec.get("volumes", []) for kind in v.keys() - {"name"}}
        assert kinds <= {"configMap", "secret", "emptyDir"}
        for container in containers(spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
            assert ":" in container["image"]
    namespace = next(m for m in rendered(overlay) if m["kind"] == "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert all(
        m["metadata"]["namespace"] == namespace["metadata"]["name"]
        for m in rendered(overlay)
        if m["kind"] != "Namespace"
    )


def mounted(overlay: str, container: Manifest, directory: Path) -> dict[str, str]:
    """The files of a container's volumes, laid out under `directory`; path inside → outside."""
    volumes = {volume["name"]: volume for volume in pod(overlay)["volumes"]}
    config = of(overlay, "ConfigMap")["data"]
    contents = {"spartoo-sync": SECRETS, "spartoo-sync-api-keys": {"shoes-fr": "0123456789ABCDEF"}}
    paths: dict[str, str] = {}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        if "emptyDir" in volume:
            continue
        files = contents[volume["secret"]["secretName"]] if "secret" in volume else config
        outside = directory / mount["mountPath"].strip("/")
        outside.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (outside / name).write_text(content)
        paths[mount["mountPath"]] = str(outside)
    return paths


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_daemon_accepts_the_settings_of_every_container(overlay: str, tmp_path: Path) -> None:
    for container in containers(pod(overlay)):
        paths = mounted(overlay, container, tmp_path)

        def outside(path: str, paths: dict[str, str] = paths) -> str:
            (mount,) = (inside for inside in paths if path.startswith(inside + "/"))
            return paths[mount] + path.removeprefix(mount)

        given = {variable["name"]: outside(variable["value"]) for variable in container["env"]}
        ours = {k: v for k, v in image_environment().items() if k.startswith("SPARTOO_SYNC_")}
        config = Path(outside(container["args"][-1]))
        text = config.read_text()
        for inside, there in paths.items():
            text = text.replace(f'"{inside}/', f'"{there}/')
        config.write_text(text)
        settings = load_settings(config, ours | given)
        assert settings.connections
        assert settings.secret_key is not None
        (port,) = container.get("ports", [{"containerPort": settings.http_port}])
        assert port["containerPort"] == settings.http_port


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_given_are_the_same_before_and_after_the_migration(overlay: str) -> None:
    (schema,) = pod(overlay)["initContainers"]
    (daemon,) = pod(overlay)["containers"]
    assert schema["args"][:2] == ["db", "upgrade"]
    assert daemon["args"][:1] == ["run"]
    for same in ("image", "env", "volumeMounts"):
        assert schema[same] == daemon[same]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_what_the_daemon_answers(overlay: str) -> None:
    (daemon,) = pod(overlay)["containers"]
    (port,) = daemon["ports"]
    for kind, path in {
        "liveness": "/healthz",
        "startup": "/healthz",
        "readiness": "/readyz",
    }.items():
        assert daemon[f"{kind}Probe"]["httpGet"] == {"path": path, "port": port["name"]}
    assert pod(overlay)["terminationGracePeriodSeconds"] > 10


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_that_selects_pods_finds_the_daemon_alone(overlay: str) -> None:
    labels = of(overlay, "Deployment")["spec"]["template"]["metadata"]["labels"]
    others = [
        m["spec"]["template"]["metadata"]["labels"]
        for m in rendered(overlay)
        if m["kind"] == "Deployment" and m["metadata"]["name"] != "spartoo-sync"
    ]
    selectors = [
        of(overlay, "Deployment")["spec"]["selector"]["matchLabels"],
        of(overlay, "Service")["spec"]["selector"],
        of(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of(overlay, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        pod(overlay)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selects(selector, labels)
        assert not any(selects(selector, other) for other in others)
    assert pod(overlay)["serviceAccountName"] == of(overlay, "ServiceAccount")["metadata"]["name"]
    assert of(overlay, "ServiceAccount")["automountServiceAccountToken"] is False


def test_production_survives_the_loss_of_a_pod() -> None:
    deployment = of("production", "Deployment")["spec"]
    budget = of("production", "PodDisruptionBudget")["spec"]
    assert deployment["replicas"] == 2 > budget["minAvailable"] > 0
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_the_network_policy_lets_out_what_the_settings_need() -> None:
    policy = of("production", "NetworkPolicy")["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert {53, 5432, 5671, 5672, 443} == ports
    assert policy["ingress"][0]["ports"] == [{"port": "http"}]
    trial = of("trial", "NetworkPolicy")["spec"]["egress"][-1]
    (to,) = trial["to"]
    simulator = of("trial", "Deployment", "simulator")["spec"]["template"]["metadata"]["labels"]
    assert selects(to["podSelector"]["matchLabels"], simulator)
    config = tomllib.loads(of("trial", "ConfigMap")["data"]["spartoo-sync.toml"])
    port = of("trial", "Service", "simulator")["spec"]["ports"][0]["port"]
    assert config["connections"][0]["base_url"] == f"http://simulator:{port}/mp"
    assert trial["ports"] == [{"port": port}]


def test_prometheus_finds_the_service_and_has_our_alerts(tmp_path: Path) -> None:
    monitor = of("production", "ServiceMonitor")["spec"]
    service = of("production", "Service")
    assert selects(monitor["selector"]["matchLabels"], service["metadata"]["labels"])
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
    rules = yaml.safe_load((KUBERNETES.parent / "prometheus/rules.yaml").read_text())
    assert of("production", "PrometheusRule")["spec"] == rules
    monitoring = KUBERNETES / "components/monitoring"
    subprocess.run([monitoring / "prometheusrule.sh", tmp_path / "new"], check=True, timeout=30)
    written = (monitoring / "prometheusrule.yaml").read_text()
    assert (tmp_path / "new").read_text() == written, "run prometheusrule.sh"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_state_volume_holds_the_largest_uploads(overlay: str) -> None:
    (volume,) = (v for v in pod(overlay)["volumes"] if v["name"] == "state")
    size = volume["emptyDir"]["sizeLimit"]
    assert size.endswith("Mi")
    assert int(size[:-2]) << 20 > MOST_AT_ONCE * LARGEST_UPLOAD + KEPT_FREE
    (container,) = pod(overlay)["containers"]
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "state")
    assert mount["mountPath"] == image_environment()["SPARTOO_SYNC_STATE_DIR"]
