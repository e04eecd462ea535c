"""`spartoo-sync sync`: look at a connection now."""

import asyncio
from datetime import date, datetime
from typing import Annotated

import typer

from adapters.postgres import looks
from adapters.postgres.looks import LookState
from daemon.cli.asking import NO_DAEMON, asked_by, command_id, daemon_runs, known_connection
from daemon.cli.command import Invocation, command
from daemon.cli.output import note, print_json
from daemon.command_messages import ConnectionSync
from daemon.wiring import Parts
from statemachine.facts import Refused
from statemachine.model import ConnectionId

_PATIENCE = 60.0  # seconds


def register(app: typer.Typer) -> None:
    command(app, "sync")(sync)


async def sync(
    invocation: Invocation,
    connection: Annotated[str, typer.Argument(help="Id of the connection.")],
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Read every order placed since then (a backfill)."
        ),
    ] = None,
) -> None:
    """Look at a connection's orders now, and wait up to a minute for what was found."""
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            await _must_not_be_suspended(await known_connection(conn, connection))
        look = looks.Look.BACKFILL if since else looks.Look.FRESH
        before = await _state(parts, connection, look)
        await _request(parts, connection, since.date() if since else None)
        runs = await daemon_runs(parts)
        found = await _finished(parts, connection, look, before) if runs else None
        _tell(invocation, connection, look, found, runs=runs)


