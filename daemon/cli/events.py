"""`spartoo-sync events`: the event log, as it is and once more."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import orjson
import typer
from rich.text import Text

from adapters.ports import LoggedEvent
from adapters.postgres import events as log
from adapters.postgres.database import Conn, Database
from adapters.rabbitmq.envelope import cloud_event
from daemon.cli.command import Invocation, command
from daemon.cli.connection_names import OfConnection
from daemon.cli.event_lines import told
from daemon.cli.event_options import OfOrder, OfType
from daemon.cli.output import console, plain, print_json_line
from daemon.cli.replay import replay
from statemachine.changes import EventType
from statemachine.model import ConnectionId, OrderId

group = typer.Typer(
    name="events",
    help="The event log: follow it, publish events again.",
    no_args_is_help=True,
)
command(group, "replay")(replay)

_PAGE = 500
_OVERLAP = 200  # positions read again, for transactions that commit late
_WAKE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events of the log are shown."""

    connection: ConnectionId | None
    type: EventType | None
    order_id: OrderId | None

    async def after(self, conn: Conn, position: int) -> list[LoggedEvent]:
        """The next page of them."""
        return await log.after(
            conn,
            position,
            _PAGE,
            type=self.type,
            connection=self.connection,
            order_id=self.order_id,
        )


@command(group, "tail")
async def tail(
    invocation: Invocation,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    after: Annotated[
        int | None, typer.Option(min=0, help="Everything after this position.", show_default=False)
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="Without --after: so many of the newest.")] = 20,
    connection: OfConnection = None,
    kind: OfType = None,
    order: OfOrder = None,
) -> None:
    """Show the newest events of the log, a line each; with --json the CloudEvents themselves."""
    wanted = Wanted(
        ConnectionId(connection) if connection else None, kind, OrderId(order) if order else None
    )
    show = _show_json if invocation.as_json else _show_line
    async with invocation.parts() as parts:
        position = after
        if position is None:
            async with parts.database.connection() as conn:
                newest = await _newest(conn, wanted, last)
            position = newest[0].position - 1 if newest else 0
        async for event in _stream(parts.database, wanted, position, follow=follow):
            show(event)


async def _newest(conn: Conn, wanted: Wanted, count: int) -> Sequence[LoggedEvent]:
    """The last events that match: ever longer stretches before the relay's position are read."""
    end, span = await log.relay_position(conn), 4 * count
    while True:
        start = max(end - span, 0)
        found: deque[LoggedEvent] = deque(maxlen=count)
        position = start
        while page := await wanted.after(conn, position):
            found.extend(page)
            position = page[-1].position
        if len(found) == count or start == 0:
            return list(found)
        span *= 8


async def _stream(
    database: Database, wanted: Wanted, start: int, *, follow: bool
) -> AsyncIterator[LoggedEvent]:
    """Events after `start`; following, also those whose transaction committed late."""
    position, recent = start, set[int]()
    while True:
        async with database.connection() as conn:
            page = await wanted.after(conn, max(position - _OVERLAP, start))
        for event in page:
            if event.position not in recent:
                yield event
        position = max([position, *(event.position for event in page)])
        recent = {p for p in recent.union(e.position for e in page) if p >= position - _OVERLAP}
        if len(page) == _PAGE:
            continue
        if not follow:
            return
        await database.wakeups.wait("events", _WAKE_SECONDS)


def _show_json(event: LoggedEvent) -> None:
    print_json_line(cloud_event(event))


def _show_line(event: LoggedEvent) -> None:
    owner = event.source.rpartition("/")[2]
    line = Text(f"{event.position:>7} ", style="dim")
    line.append(event.time.astimezone().strftime("%Y-%m-%d %H:%M:%S "), style="dim")
    line.append(f"{event.type:<22} ", style="bold")
    line.append(plain(f"{owner} {event.subject} #{event.sequence}  "))
    line.append(plain(told(orjson.loads(event.data))))
    console().print(line, soft_wrap=True)
