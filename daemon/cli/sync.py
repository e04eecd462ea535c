"""`spartoo-sync sync`: look at a connection now."""

import asyncio
from datetime import date, datetime
from typing import Annotated

import orjson
import typer

from adapters.postgres import looks
from adapters.postgres.connections import Connection
from adapters.postgres.looks import Look, LookState
from daemon.cli.asking import NO_DAEMON, asked_by, command_id, daemon_runs, known_connection
from daemon.cli.command import Invocation, command
from daemon.cli.connection_names import ConnectionName
from daemon.cli.output import note, plain, print_json
from daemon.command_messages import ConnectionSync
from daemon.wiring import Parts
from statemachine.facts import Refused
from statemachine.model import ConnectionId

_PATIENCE = 60.0  # seconds
_BETWEEN_READS = 0.2


def register(app: typer.Typer) -> None:
    command(app, "sync")(sync)


async def sync(
    invocation: Invocation,
    connection: ConnectionName,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Read every order placed since that day (a backfill)."
        ),
    ] = None,
) -> None:
    """Look at a connection's orders now, and wait up to a minute for what was found."""
    look = Look.BACKFILL if since else Look.FRESH
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            _must_be_looked_at(await known_connection(conn, connection))
        before = await _state(parts, connection, look)
        await _request(parts, connection, since.date() if since else None)
        finished = None
        if await daemon_runs(parts):
            finished = await _finished(parts, connection, look, before)
            waiting = "not finished after a minute; `spartoo-sync connections list` shows it later"
        else:
            waiting = NO_DAEMON
        _tell(invocation, connection, look, finished, waiting)


def _must_be_looked_at(connection: Connection) -> None:
    if connection.settings.active and connection.suspended_at is not None:
        raise Refused(
            "connection_suspended",
            f"connection {connection.id} is suspended since {plain(connection.suspended_at)}"
            f" ({connection.suspended_message}); nothing was asked for: set a new API key"
            f" (spartoo-sync connections set {connection.id} --api-key-file FILE)"
            f" or activate it again (spartoo-sync connections activate {connection.id})",
        )


async def _request(parts: Parts, connection: str, since: date | None) -> None:
    asked = ConnectionSync(
        command="connection.sync",
        id=command_id(),
        by=asked_by(),
        connection=connection,
        since=since,
    )
    reply = await parts.desk.carry_out(asked)
    if reply.status == "refused":
        raise Refused(**orjson.loads(reply.body)["error"])


async def _state(parts: Parts, connection: str, look: Look) -> LookState | None:
    async with parts.database.connection() as conn:
        found = await looks.state(conn, ConnectionId(connection))
    return next((state for state in found if state.look is look), None)


async def _finished(
    parts: Parts, connection: str, look: Look, before: LookState | None
) -> LookState | None:
    """The look that began after the request, once it is over; None when that takes too long."""
    began = before.started_at if before else None
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                now = await _state(parts, connection, look)
                if now and now.started_at != began and _is_over(now):
                    return now
                await asyncio.sleep(_BETWEEN_READS)
    except TimeoutError:
        return None


def _is_over(look: LookState) -> bool:
    started, finished = look.started_at, look.finished_at
    return started is not None and finished is not None and finished >= started


def _tell(
    invocation: Invocation, connection: str, look: Look, finished: LookState | None, waiting: str
) -> None:
    if finished is not None and finished.error is not None:
        raise Refused(
            "look_failed",
            f"connection {connection}, {look} look: {finished.error}; it is tried again by itself",
        )
    if invocation.as_json:
        status, found = ("done", finished.summary) if finished else ("queued", None)
        print_json({"connection": connection, "look": look, "status": status, "found": found})
    elif finished is not None:
        note(f"{connection}: {finished.summary}")
    if finished is None:
        note(f"{connection}: asked for; {waiting}")
