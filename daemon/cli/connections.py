"""`spartoo-sync connections`: accounts on country sites, and whether they work."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from adapters.postgres import connections as store
from adapters.postgres.connections import Connection
from adapters.postgres.database import Tx
from daemon.cli.asking import asked_by, command_id, tell
from daemon.cli.command import Invocation, command
from daemon.cli.connection_check import check_connection
from daemon.cli.connection_input import changed_settings, pairs, read_api_key
from daemon.cli.connection_list import list_connections
from daemon.cli.output import note, print_json
from daemon.command_messages import ConnectionSwitch
from daemon.commands import switch
from daemon.declared import apply_declared
from daemon.settings import SettingsError
from daemon.settings_connections import DeclaredConnection, declared_connections
from daemon.settings_sources import Given, read_document
from daemon.transactions import in_transaction
from daemon.wiring import Parts
from statemachine.connection import ConnectionSettings
from statemachine.model import ConnectionId

group = typer.Typer(
    name="connections",
    help="Accounts on Spartoo's country sites: add, change, test, activate, disable.",
    no_args_is_help=True,
)
command(group, "list")(list_connections)
command(group, "test")(check_connection)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the connection.")]
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
    connection: Id,
    site: Annotated[str, typer.Option(help="Country site: fr, de, es, it, uk …")],
    key_file: KeyFile = None,
    key_variable: KeyVariable = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting, like auto_accept=true; may be repeated."
        ),
    ] = None,
) -> None:
    """Add a connection; it looks at nothing before it is activated (or --set active=true).

    Without --api-key-file or --api-key-env the key is asked for, and not shown while typed.
    """
    settings = changed_settings({"id": connection, "site": site}, pairs(given or []))
    invocation.settings()
    key = read_api_key(key_file, key_variable, ask=True)
    async with invocation.parts() as parts:

        async def work(tx: Tx) -> Connection:
            inactive = settings.model_copy(update={"active": False})
            added = await store.add(tx, parts.cipher, inactive, key, parts.clock())
            return await _switched(tx, parts, added, active=settings.active)

        added = await in_transaction(parts.database, work)
    _told(invocation, added, f"added; `spartoo-sync connections test {connection}` tries the key")


@command(group, "set")
async def change(
    invocation: Invocation,
    connection: Id,
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE…", help="Settings; an empty value is the default again."),
    ] = None,
    key_file: KeyFile = None,
    key_variable: KeyVariable = None,
    *,
    ask: Annotated[
        bool, typer.Option("--api-key", help="Ask for a new API key, not shown while typed.")
    ] = False,
) -> None:
    """Change a connection's settings or API key; a new key ends a suspension."""
    changes = pairs(given or [])
    key = read_api_key(key_file, key_variable, ask=ask)
    if not changes and key is None:
        raise SettingsError(["nothing to change: give KEY=VALUE, --api-key-file or --api-key-env"])
    async with invocation.parts() as parts:

        async def work(tx: Tx) -> Connection:
            return await _change(tx, parts, connection, changes, key)

        changed = await in_transaction(parts.database, work)
    _told(invocation, changed, "changed")


async def _change(
    tx: Tx, parts: Parts, connection: str, changes: Mapping[str, str], key: str | None
) -> Connection:
    known = await store.get(tx, ConnectionId(connection))
    settings = changed_settings(known.settings.model_dump(), changes)
    same_activity = settings.model_copy(update={"active": known.settings.active})
    changed = await store.update(tx, parts.cipher, same_activity, api_key=key)
    if key is not None and known.suspended_reason != store.BY_COMMAND:
        await store.resume(tx, known.id, store.BY_COMMAND, "new API key", parts.clock())
    return await _switched(tx, parts, changed, active=settings.active)


async def _switched(tx: Tx, parts: Parts, known: Connection, *, active: bool) -> Connection:
    """The connection, activated or disabled if it is not so already. Raises Refused."""
    if known.settings.active is not active:
        await switch(tx, known, parts.settings.plan, parts.clock(), active=active)
    return await store.get(tx, known.id)


def _told(invocation: Invocation, connection: Connection, what: str) -> None:
    if invocation.as_json:
        print_json(settings_document(connection.settings))
    else:
        note(f"connection {connection.id} {what}")


def settings_document(settings: ConnectionSettings) -> dict[str, object]:
    """The settings, which never hold the key, as JSON."""
    return settings.model_dump(mode="json")


@command(group, "activate")
async def activate(invocation: Invocation, connection: Id) -> None:
    """Activate order synchronization: the daemon looks at it from now on; ends a suspension."""
    await _switch(invocation, connection, "connection.activate", "activated")


@command(group, "disable")
async def disable(invocation: Invocation, connection: Id) -> None:
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
