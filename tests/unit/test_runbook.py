"""What RUNBOOK.md and the other pages of deploy/ name is there."""

import json
import re
from pathlib import Path

import pytest
import typer

from daemon.cli.app import app
from tests.unit.test_deploy_monitoring import ALERTS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text()
PAGES = [DEPLOY / "RUNBOOK.md", *DEPLOY.glob("*/README.md")]
GROUPS = ("connections", "orders", "returns", "catalog", "events", "quarantine", "db")


def prose(page: str) -> str:
    """The page on one line, without its blocks of code."""
    return " ".join(re.sub(r"^\s*```.*?```$", "", page, flags=re.MULTILINE | re.DOTALL).split())


def source() -> str:
    """All of the program, as one text."""
    files = [p for name in ("daemon", "adapters") for p in (ROOT / name).rglob("*.py")]
    return "\n".join(path.read_text() for path in files)


def commands() -> set[str]:
    """Every command of the program, `group command` or alone."""
    context = typer.Context(typer.main.get_command(app))
    names: set[str] = set()
    for name in context.command.list_commands(context):  # type: ignore[attr-defined] # a group
        found = context.command.get_command(context, name)  # type: ignore[attr-defined] # a group
        inner = getattr(found, "commands", {})
        names |= {f"{name} {command}" for command in inner} or {name}
    return names


def test_every_alert_is_explained_and_no_other() -> None:
    explained = re.findall(r"^### (SpartooSync\w+)$", RUNBOOK, re.MULTILINE)
    assert explained == list(ALERTS)
    sections = re.split(r"^##+ ", RUNBOOK, flags=re.MULTILINE)
    for section in sections:
        if section.startswith("SpartooSync"):
            assert "- Look: " in section, section
            assert "- Do: " in section, section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_command_named_exists(page: Path) -> None:
    text = page.read_text()
    spans = re.findall(r"`([^`]+)`", prose(text)) + re.findall(r"spartoo-sync [a-z]+ [a-z]+", text)
    named = {
        " ".join(words[:2])
        for span in spans
        if (words := span.removeprefix("spartoo-sync ").split())[0] in GROUPS and len(words) > 1
    }
    assert named <= commands()


def test_what_is_quoted_is_said_by_program_or_dashboard() -> None:
    quoted = {q for q in re.findall(r'"([^"]+)"', prose(RUNBOOK)) if " " in q}
    dashboard = json.loads((DEPLOY / "grafana/spartoo-sync.json").read_text())
    panels = {panel["title"] for panel in dashboard["panels"]}
    said = source()
    assert {q for q in quoted - panels if q not in said} == set()


def test_log_events_that_are_named_are_logged() -> None:
    spans = set(re.findall(r"`([a-z]+(?: [a-zA-Z]+)+)`", prose(RUNBOOK)))
    events = {span for span in spans if span.split()[0] not in {*GROUPS, "systemctl"}}
    said = source()
    assert len(events) > 5
    assert {event for event in events if f'"{event}"' not in said} == set()
