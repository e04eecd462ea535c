"""Shell completion as a shell asks for it: the program run with words, candidates out."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from tests.fixtures.postgres import add_connection, eventually
from tests.unit.builders import settings

SHELLS = ("bash", "zsh", "fish")


async def completed(shell: str, line: str, **variables: str) -> str:
    """What the program answers when the cursor stands at the end of the line."""
    words = line.split(" ")
    environ = {name: value for name, value in os.environ.items() if "SPARTOO_SYNC" not in name}
    environ |= {
        "_SPARTOO_SYNC_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon.cli"),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert not err, err.decode()
    return out.decode()


async def offers_the_shoes(shell: str, line: str, environ: dict[str, str]) -> bool:
    """False when the database took longer than a person waits for a completion."""
    found = await completed(shell, line, **environ)
    assert "bags-it" not in found
    return "shoes-fr" in found and "shoes-de" in found


@pytest.mark.parametrize("shell", SHELLS)
async def test_commands_connections_and_settings(
    shell: str, db: Database, database_url: str, tmp_path: Path
) -> None:
    for name in ("shoes-fr", "shoes-de", "bags-it"):
        await add_connection(db, settings(id=name))
    config = tmp_path / "settings.toml"
    config.write_text(f'database_url = "{database_url}"\nstate_dir = "state"\n')
    here = {"SPARTOO_SYNC_CONFIG": str(config)}
    verbs = await completed(shell, "spartoo-sync orders un", **here)
    assert "undelivered" in verbs
    for line in (
        "spartoo-sync sync shoes-",
        "spartoo-sync orders list --connection shoes-",
        "spartoo-sync orders show shoes-",
    ):
        await eventually(partial(offers_the_shoes, shell, line, here), 60)
    keys = await completed(shell, "spartoo-sync connections set shoes-fr auto", **here)
    assert "auto_accept=true" in keys


async def test_nothing_is_completed_rather_than_an_error(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    line = f"spartoo-sync sync --config {config} shoes-"
    assert not (await completed("bash", line)).strip()
    config.write_text('database_url = "postgresql://nobody@127.0.0.1:1/none"\nstate_dir = "s"\n')
    assert not (await completed("bash", line)).strip()
    config.write_text('state_dir = "s"\n')
    assert not (await completed("bash", line)).strip()
    assert not (tmp_path / "s").exists()


async def test_declared_connections_need_no_database(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('state_dir = "s"\n[[connections]]\nid = "shoes-fr"\napi_key = "0123"\n')
    found = await completed("bash", "spartoo-sync sync sh", SPARTOO_SYNC_CONFIG=str(config))
    assert found.split() == ["shoes-fr"]
