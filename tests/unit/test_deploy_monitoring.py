"""Alerts and dashboard against promtool, and against what the daemon really exports."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from daemon.metrics import Metrics

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus/rules.yaml"
DASHBOARD = DEPLOY / "grafana/spartoo-sync.json"
SCRAPED = {"job", "instance"}

RULE_LIST = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
ALERTS = {rule["alert"]: rule for rule in RULE_LIST}


def promtool(*arguments: str) -> str:
    tool = shutil.which("promtool")
    assert tool, "promtool is not installed: deploy/dev/checkers.sh"
    done = subprocess.run(
        [tool, *arguments],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exported() -> dict[str, set[str]]:
    """Every series name the daemon exports → its labels."""
    names: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if hasattr(metric, "_labelnames"):
            labels = set(metric._labelnames)
            for family in metric.describe():
                suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
                for suffix in suffixes.get(family.type, [""]):
                    bucket = {"le"} if suffix == "_bucket" else set()
                    names[family.name + suffix] = labels | bucket
    return names


def queries() -> Iterator[tuple[str, str]]:
    for name, rule in ALERTS.items():
        yield name, rule["expr"]
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], filled(target["expr"])


def filled(query: str) -> str:
    """A dashboard's query as Grafana would send it."""
    return query.replace("$__rate_interval", "1m").replace("$connection", ".*")


def used(query: str) -> tuple[dict[str, set[str]], set[str]]:
    """Metric names → labels matched on them, and the labels grouped by or matched on elsewhere."""
    selected: dict[str, set[str]] = {}
    grouped: set[str] = set()
    nodes: list[Any] = []
    promql.walk(promql.parse(query), nodes.append)
    for node in nodes:
        if isinstance(node, promql.VectorSelector):
            matched = {matcher.name for matcher in node.matchers.matchers}
            selected.setdefault(str(node.name), set()).update(matched)
        modifier = getattr(node, "modifier", None)
        if isinstance(modifier, promql.AggModifier):
            grouped |= set(modifier.labels)
        elif modifier is not None and modifier.matching is not None:
            grouped |= set(modifier.matching.labels)
    return selected, grouped


@pytest.mark.parametrize(("where", "query"), [*queries()])
def test_a_query_names_metrics_and_labels_that_are_exported(where: str, query: str) -> None:
    known = exported() | {"up": set()}
    selected, grouped = used(query)
    assert selected, where
    for name, labels in selected.items():
        assert name in known, where
        assert labels <= known[name] | SCRAPED, where
        assert grouped <= known[name] | SCRAPED, where


def test_a_name_that_is_not_exported_would_be_found() -> None:
    query = (
        'max by (conection) (rate(spartoo_sync_gone{code="1"}[5m] offset 1h)) > on (x) vector(1)'
    )
    assert used(query) == ({"spartoo_sync_gone": {"code"}}, {"conection", "x"})


def test_every_metric_is_on_the_dashboard() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    shown = json.dumps(dashboard)
    families = {re.sub(r"_(sum|count|bucket|total)$", "", name) for name in exported()}
    assert {name for name in families if name not in shown} == set()


def test_the_variable_of_the_dashboard_lists_connections() -> None:
    (variable,) = (
        variable
        for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]
        if variable["name"] == "connection"
    )
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
    assert found
    assert found[2] in exported()[found[1]]


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_rules_and_configuration_are_valid_and_behave() -> None:
    promtool("check", "rules", RULES.name)
    promtool("check", "config", "prometheus.yaml")
    promtool("test", "rules", "rules_test.yaml")


def test_every_alert_is_seen_to_fire_and_not_to_fire() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus/rules_test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert firing == silent == ALERTS.keys()
