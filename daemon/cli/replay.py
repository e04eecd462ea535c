"""`spartoo-sync events replay`: logged events once more, for consumers that lost them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from aio_pika.abc import AbstractChannel

from adapters.ports import LoggedEvent
from adapters.postgres import events as log
from adapters.postgres.database import Database
from adapters.rabbitmq.connection import Broker, translated
from adapters.rabbitmq.publisher import event_message
from adapters.rabbitmq.topology import EVENTS
from adapters.rabbitmq.window import Message, publish_window
from daemon.cli.command import Invocation
from daemon.cli.connection_names import OfConnection
from daemon.cli.event_options import OfOrder
from daemon.cli.output import note, print_json
from daemon.settings import Settings
from statemachine.facts import Refused
from statemachine.model import ConnectionId, OrderId

_PAGE = 500
_WINDOW = 100


@dataclass(frozen=True, slots=True)
class Range:
    """Which events are published again."""

    after: int
    to: int | None
    connection: str | None
    order: str | None

    def __str__(self) -> str:
        until = f"up to {self.to}" if self.to is not None else "to the end of the log"
        of = [f"order {self.order}"] * bool(self.order)
        of += [f"connection {self.connection}"] * bool(self.connection)
        return f"events after position {self.after} {until}{', of ' if of else ''}{' of '.join(of)}"


async def replay(
    invocation: Invocation,
    *,
    after: Annotated[int, typer.Option(min=0, help="Begin behind this position.")],
    to: Annotated[
        int | None, typer.Option(min=1, help="End with this position.", show_default=False)
    ] = None,
    connection: OfConnection = None,
    order: OfOrder = None,
    queue: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Into this queue only, not to everybody bound."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Publish events of the log again, with the same ids and sequences, in the same order.

    `events tail` shows positions. Consumers that drop what they have seen are not disturbed.
    """
    chosen = Range(after, to, connection, order)
    broker = _broker(invocation.settings())
    where = f"queue {queue}" if queue else f"exchange {EVENTS}"
    if not yes:
        question = f"Publish {chosen} again, to {where} of {broker.address}?"
        typer.confirm(question, abort=True, err=True)
    async with invocation.parts() as parts:
        count, last = await _publish(parts.database, chosen, broker, queue)
    if invocation.as_json:
        print_json({"published": count, "last_position": last, "to": where})
    else:
        note(f"{count} events published again to {where}")


def _broker(settings: Settings) -> Broker:
    if settings.amqp_url is None:
        raise Refused(
            "no_broker", "no broker is set, nothing was published; set SPARTOO_SYNC_AMQP_URL"
        )
    return Broker(settings.amqp_url.get_secret_value())


async def _publish(
    database: Database, chosen: Range, broker: Broker, queue: str | None
) -> tuple[int, int]:
    """How many were confirmed, and the last position. Raises Refused where one was not."""
    count, last = 0, chosen.after
    await broker.connect()
    try:
        channel = await broker.channel(confirms=True)
        async for window in _windows(database, chosen):
            await _publish_window(channel, window, queue, last)
            count, last = count + len(window), window[-1].position
    finally:
        await broker.close()
    return count, last


async def _publish_window(
    channel: AbstractChannel, window: Sequence[LoggedEvent], queue: str | None, last: int
) -> None:
    messages = [_message(event, queue) for event in window]
    with translated(f"publishing again after position {last}"):
        outcomes = await publish_window(channel, messages)
    for event, refusal in zip(window, outcomes, strict=True):
        if refusal is not None:
            raise Refused(
                "not_published",
                f"the broker did not take the event at position {event.position} ({refusal});"
                f" all up to {last} were published: go on with --after {last}",
            )


def _message(event: LoggedEvent, queue: str | None) -> Message:
    message = event_message(event)
    return replace(message, exchange="", routing_key=queue) if queue else message


async def _windows(database: Database, chosen: Range) -> AsyncIterator[list[LoggedEvent]]:
    """The events in order, cut so that no window holds two of one subject."""
    window: list[LoggedEvent] = []
    subjects: set[tuple[str, str]] = set()
    async for event in _events(database, chosen):
        subject = (event.source, event.subject)
        if subject in subjects or len(window) == _WINDOW:
            yield window
            window, subjects = [], set()
        window.append(event)
        subjects.add(subject)
    if window:
        yield window


async def _events(database: Database, chosen: Range) -> AsyncIterator[LoggedEvent]:
    position = chosen.after
    while True:
        async with database.connection() as conn:
            page = await log.after(
                conn,
                position,
                _PAGE,
                connection=ConnectionId(chosen.connection) if chosen.connection else None,
                order_id=OrderId(chosen.order) if chosen.order else None,
            )
        for event in page:
            if chosen.to is not None and event.position > chosen.to:
                return
            yield event
        if len(page) < _PAGE:
            return
        position = page[-1].position
