"""`spartoo-sync events`: the event log, as it is and once more."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from adapters.ports import LoggedEvent
from adapters.postgres import events as log
from adapters.postgres.database import Conn, Database
from adapters.rabbitmq.envelope import cloud_event
from daemon.cli.command import Invocation, command
from daemon.cli.event_options import OfConnection, OfOrder, OfType
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
