"""`spartoo-sync connections`: accounts on country sites, and whether they work."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from adapters.postgres.connections import Connection
from daemon.cli.asking import asked_by, command_id, tell
from daemon.cli.command import Invocation, command
from daemon.cli.completion import complete_setting
from daemon.cli.connection_check import test_connection
from daemon.cli.connection_input import ask_api_key, pairs
from daemon.cli.connection_list import list_connections
from daemon.cli.connection_names import ConnectionName
from daemon.cli.output import note, print_json
from daemon.command_messages import ConnectionSwitch
from daemon.connection_changes import add_connection, change_connection, read_settings
from daemon.declared import apply_declared
from daemon.settings import SettingsError
from daemon.settings_connections import DeclaredConnection, declared_connections
from daemon.settings_sources import Given, read_document
from statemachine.connection import ConnectionSettings
from statemachine.model import ConnectionId

group = typer.Typer(
    name="connections",
    help="Accounts on Spartoo's country sites: add, change, test, activate, disable.",
    no_args_is_help=True,
)
command(group, "list")(list_connections)
command(group, "test")(test_connection)

NewId = Annotated[
    str, typer.Argument(metavar="CONNECTION", help="Its id: letters, digits, hyphens.")
]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE…",
        help="Settings, like auto_accept=true; an empty value is the default.",
        autocompletion=complete_setting,
    ),
]
MorePairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="The same, as an option; may be repeated.",
        autocompletion=complete_setting,
    ),
]
KeyFile = Annotated[
    Path | None, typer.Option("--api-key-file", metavar="FILE", help="File that holds the API key.")
]
KeyVariable = Annotated[
    str | None,
    typer.Option("--api-key-env", metavar="NAME", help="Environment variable that holds it."),
]


@command(group, "add")
async def add(
    invocation: Invocation,
    connection: NewId,
    given: Pairs = None,
    *,
    site: Annotated[str, typer.Option(help="Country site: fr, de, es, it, uk …")],
    key_file: KeyFile = None,
    key_variable: KeyVariable = None,
    more: MorePairs = None,
) -> None:
    """Add a connection; it looks at nothing before it is activated (or with active=true).

    Without --api-key-file or --api-key-env the key is asked for, and not shown while typed.
    """
    settings = read_settings({"id": connection, "site": site} | pairs(given, more))
    invocation.settings()
    key = ask_api_key(key_file, key_variable, ask=True)
    async with invocation.parts() as parts:
        added = await add_connection(parts, settings, key)
    _told(invocation, added, f"added; `spartoo-sync connections test {connection}` tries the key")


@command(group, "set")
async def change(
    invocation: Invocation,
    connection: ConnectionName,
    given: Pairs = None,
    *,
    key_file: KeyFile = None,
    key_variable: KeyVariable = None,
    more: MorePairs = None,
    ask: Annotated[
        bool, typer.Option("--api-key", help="Ask for a new API key, not shown while typed.")
    ] = False,
) -> None:
    """Change a connection's settings or API key; a new key ends a suspension."""
    changes = pairs(given, more)
    key = ask_api_key(key_file, key_variable, ask=ask)
    if not changes and key is None:
        raise SettingsError(["nothing to change: give KEY=VALUE, --api-key-file or --api-key-env"])
    async with invocation.parts() as parts:
        changed = await change_connection(parts, ConnectionId(connection), changes, api_key=key)
    _told(invocation, changed, "changed")


def _told(invocation: Invocation, connection: Connection, what: str) -> None:
    if invocation.as_json:
        print_json(settings_document(connection.settings))
    else:
        note(f"connection {connection.id} {what}")


def settings_document(settings: ConnectionSettings) -> dict[str, object]:
    """The settings, which never hold the key, as JSON."""
    return settings.model_dump(mode="json")


@command(group, "activate")
async def activate(invocation: Invocation, connection: ConnectionName) -> None:
    """Activate order synchronization: the daemon looks at it from now on; ends a suspension."""
    await _switch(invocation, connection, "connection.activate", "activated")


@command(group, "disable")
async def disable(invocation: Invocation, connection: ConnectionName) -> None:
    """Disable a connection: nothing is polled or sent, its pending work waits."""
    await _switch(invocation, connection, "connection.disable", "disabled")


async def _switch(
    invocation: Invocation,
    connection: str,
    what: Literal["connection.activate", "connection.disable"],
    done: str,
) -> None:
    asked = ConnectionSwitch(command=what, id=command_id(), by=asked_by(), connection=connection)
    async with invocation.parts() as parts:
        reply = await parts.desk.carry_out(asked)
        await tell(invocation, parts, reply, f"connection {connection} {done}", "")


@command(group, "apply")
async def apply(
    invocation: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML with [[connections]].")],
) -> None:
    """Add or change the connections a settings file declares, as the daemon does at start."""
    declared = _declared(file)
    async with invocation.parts() as parts:
        changed = await apply_declared(parts, declared, parts.clock())
    if invocation.as_json:
        print_json({"changed": changed, "declared": [c.settings.id for c in declared]})
    else:
        note(f"{len(declared)} declared, changed: {', '.join(changed) or 'none'}")


def _declared(file: Path) -> list[DeclaredConnection]:
    """The connections of a TOML file. Raises SettingsError."""
    tables = Given("connections", read_document(file).get("connections", []), file)
    declared, faults = declared_connections(tables, os.environ)
    if not declared and not faults:
        faults = [tables.fault("none declared: write each as a table [[connections]]")]
    if faults:
        raise SettingsError(faults)
    return declared
