"""The command line as a whole: help, version, usage, settings, the database behind it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from daemon.cli.app import app
from tests.fixtures.cli import Cli

ORDER = "3FF75E96C3434E92"


def commands(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from commands(found, *path, name)
        else:
            yield (*path, name)


EVERY = sorted(commands(typer.main.get_command(app)))


def test_every_command_of_the_interface_is_there() -> None:
    groups: dict[str, set[str]] = {}
    for *group, name in EVERY:
        groups.setdefault(" ".join(group), set()).add(name)
    wanted = {
        "": {"run", "demo", "simulator", "sync", "diagram"},
        "db": {"upgrade"},
        "connections": {"list", "add", "set", "test", "activate", "disable", "apply"},
        "orders": {
            *("list", "show", "why", "fetch", "accept", "refuse", "ship", "cancel", "retry"),
            *("slip", "what-if", "lost", "undelivered", "acknowledge"),
        },
        "returns": {"list", "show", "accept", "refuse", "label"},
        "catalog": {"import", "show", "set-stock", "push"},
        "events": {"tail", "replay"},
        "quarantine": {"list", "show", "retry"},
        "keys": {"rotate"},
        "privacy": {"erase", "export"},
    }
    missing = {group: names - groups[group] for group, names in wanted.items()}
    assert not any(missing.values()), missing


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
async def test_help_tells_what_a_command_and_each_option_does(
    bare_cli: Cli, path: tuple[str, ...]
) -> None:
    ran = await bare_cli(*path, "--help")
    assert ran.status == 0
    assert f"Usage: spartoo-sync {' '.join(path)}" in ran.out
    assert "--config" in ran.out
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    assert command.help
    assert [p.name for p in command.params if not p.help] == []


async def test_version(bare_cli: Cli) -> None:
    ran = await bare_cli("--version")
    assert (ran.status, ran.out.split()[0]) == (0, "spartoo-sync")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing"], "nothing"),
        (["orders", "list", "--state", "lost-ish"], "lost-ish"),
        (["orders", "list", "--from", "yesterday"], "yesterday"),
        (["orders", "show"], "ORDER"),
        (["orders", "show", "a", "b", "c"], "CONNECTION ORDER"),
        (["catalog", "set-stock", "10001", "-1"], "-1"),
        (["catalog", "show", "--catalog", "not this"], "not this"),
        (["events", "replay"], "--after"),
        (["simulator", "--account", "me=secret-key-value"], "NAME=KEY"),
        (["sync", "shoes-fr", "--since", "soon"], "soon"),
        (["orders", "list", "--state", "open"], "'--state': 'open' is not one of 'new', "),
    ],
)
async def test_wrong_usage_is_status_2_and_names_the_fault(
    bare_cli: Cli, arguments: list[str], named: str
) -> None:
    ran = await bare_cli(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert named in ran.err
    assert "secret-key-value" not in ran.err
    told = await bare_cli(*arguments, "--json")
    if arguments[0] != "simulator":  # shows nothing, so it has no --json
        assert told.error["code"] == "bad_usage"
        assert named in told.error["message"]


async def test_a_group_without_a_command_shows_its_help(bare_cli: Cli) -> None:
    ran = await bare_cli("orders")
    assert ran.status == 2
    assert "accept" in ran.out + ran.err


async def test_wrong_settings_are_status_2_without_secrets(
    bare_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text('http_port = 99999\namqp_url = "http://user:hunter2@host"\n')
    for arguments in (["--config", config, "run"], ["orders", "list", "--config", config]):
        ran = await bare_cli(*arguments)
        assert ran.status == 2
        assert "http_port = 99999" in ran.err
        assert str(config) in ran.err
        assert "hunter2" not in ran.err
    told = await bare_cli("orders", "list", "--json", "--config", config)
    assert told.error["code"] == "bad_settings"
    monkeypatch.setenv("SPARTOO_SYNC_CONFIG", str(tmp_path / "none.toml"))
    assert "none.toml" in (await bare_cli("orders", "list")).err


async def test_a_database_out_of_reach_is_status_1_without_its_password(
    bare_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARTOO_SYNC_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/nothing")
    ran = await bare_cli("orders", "list", "--json")
    assert (ran.status, ran.out) == (1, "")
    assert ran.error["code"] == "database_unavailable"
    assert "SPARTOO_SYNC_DATABASE_URL" in ran.error["message"]
    assert "hunter2" not in ran.err


async def test_an_old_schema_names_the_command_that_mends_it(
    bare_cli: Cli, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARTOO_SYNC_DATABASE_URL", empty_database)
    ran = await bare_cli("orders", "list")
    assert ran.status == 1
    assert "`spartoo-sync db upgrade`" in ran.err
    upgraded = await bare_cli("db", "upgrade", "--json")
    assert upgraded.status == 0
    assert upgraded.json["schema"]
    assert (await bare_cli("db", "upgrade")).status == 0
    assert (await bare_cli("orders", "list")).status == 0


async def test_the_embedded_database_needs_no_settings(bare_cli: Cli) -> None:
    assert (await bare_cli("db", "upgrade")).status == 0
    assert (await bare_cli("--json", "connections", "list")).json == {"items": [], "next": None}


async def test_diagram(bare_cli: Cli) -> None:
    drawn = await bare_cli("diagram")
    assert drawn.out.startswith("stateDiagram-v2\n")
    assert "pending_manual --> accepted: accept" in drawn.out
    marked = await bare_cli("diagram", "--state", "synced", "--json")
    assert "class synced current" in marked.json["mermaid"]


def test_output_nobody_reads_to_the_end_is_no_traceback(tmp_path: Path) -> None:
    """`spartoo-sync … | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ran = subprocess.run(
            [sys.executable, "-m", "daemon.cli", "diagram"],
            stdout=closed,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    assert ran.stderr == b""


async def test_json_errors_are_one_line(cli: Cli) -> None:
    ran = await cli("orders", "show", ORDER, "--json")
    assert ran.status == 1
    assert json.loads(ran.err)["error"]["code"] == "unknown_order"
    assert "orders fetch CONNECTION" in json.loads(ran.err)["error"]["message"]
