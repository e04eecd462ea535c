"""`spartoo-sync orders`: see orders, and decide about them."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from adapters.postgres.database import Conn
from daemon.cli.asking import (
    asked_by,
    command_id,
    daemon_runs,
    find_order,
    known_connection,
    tell,
)
from daemon.cli.command import Invocation, command
from daemon.cli.order_list import list_orders
from daemon.cli.order_names import OrderName
from daemon.cli.order_ship import ship_order
from daemon.cli.order_show import show_order
from daemon.cli.order_slip import save_slip
from daemon.cli.order_what_if import what_if_orders
from daemon.cli.order_why import why_order
from daemon.command_messages import OrderAcknowledge, OrderCancel, OrderDecision, OrderFetch
from daemon.commands import Reply
from daemon.wiring import Parts

group = typer.Typer(
    name="orders",
    help="Orders: list and open them, see why they wait, accept, refuse, ship, cancel, retry.",
    no_args_is_help=True,
)
command(group, "list")(list_orders)
command(group, "ship")(ship_order)
command(group, "show")(show_order)
command(group, "slip")(save_slip)
command(group, "what-if")(what_if_orders)
command(group, "why")(why_order)

Decision = Literal[
    "order.accept",
    "order.refuse",
    "order.lost",
    "order.undelivered",
    "order.retry",
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the order's history.")]


@command(group, "accept")
async def accept(invocation: Invocation, name: OrderName, reason: Reason = None) -> None:
    """Accept a waiting order: Spartoo is told, then it is published as accepted."""
    await _decide(invocation, name, _decision("order.accept", reason))


@command(group, "refuse")
async def refuse(invocation: Invocation, name: OrderName, reason: Reason = None) -> None:
    """Refuse a waiting order: it is cancelled on Spartoo, and the customer refunded."""
    await _decide(invocation, name, _decision("order.refuse", reason))


@command(group, "cancel")
async def cancel(
    invocation: Invocation,
    name: OrderName,
    reason: Reason = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also when parcels have left: all of it is refunded.")
    ] = False,
) -> None:
    """Cancel an order that is not shipped yet: on Spartoo, and the customer is refunded."""
    await _decide(
        invocation,
        name,
        lambda asked: OrderCancel(command="order.cancel", reason=reason, force=force, **asked),
    )


@command(group, "retry")
async def retry(invocation: Invocation, name: OrderName) -> None:
    """Try again what failed for an order that needs attention."""
    await _decide(invocation, name, _decision("order.retry", None))


@command(group, "lost")
async def lost(invocation: Invocation, name: OrderName, reason: Reason = None) -> None:
    """A shipped order was lost on its way: Spartoo is told."""
    await _decide(invocation, name, _decision("order.lost", reason))


@command(group, "undelivered")
async def undelivered(invocation: Invocation, name: OrderName, reason: Reason = None) -> None:
    """A shipped order came back, not delivered: Spartoo is told."""
    await _decide(invocation, name, _decision("order.undelivered", reason))


@command(group, "acknowledge")
async def acknowledge(
    invocation: Invocation,
    name: OrderName,
    store_order_id: Annotated[str, typer.Option(help="The order's id in the store.")],
) -> None:
    """The store has the order now: its next stock numbers include it; nothing goes to Spartoo."""
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            order = await find_order(conn, name)
        asked = OrderAcknowledge(
            command="order.acknowledge",
            id=command_id(),
            by=asked_by(),
            connection=order.connection,
            order_id=order.id,
            store_order_id=store_order_id,
        )
        reply = await parts.desk.carry_out(asked)
        done = f"acknowledge {order.connection} {order.id}: the store knows it as {store_order_id}"
        await tell(invocation, parts, reply, done, done)


Asked = Callable[[dict[str, Any]], OrderDecision | OrderCancel]  # of what names the order


def _decision(what: Decision, reason: str | None) -> Asked:
    return lambda asked: OrderDecision(command=what, reason=reason, **asked)


async def _decide(invocation: Invocation, name: list[str], ask: Asked) -> None:
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            order = await find_order(conn, name)
        named = {"id": command_id(), "by": asked_by()}
        asked = ask({**named, "connection": order.connection, "order_id": order.id})
        reply = await parts.desk.carry_out(asked)
        verb, about = asked.command.removeprefix("order."), f"{order.connection} {order.id}"
        queued = f"{verb} {about}: stored, Spartoo is told next; `spartoo-sync orders show {about}`"
        await tell(invocation, parts, reply, f"{verb} {about}: done", queued)


@command(group, "fetch")
async def fetch(invocation: Invocation, name: OrderName) -> None:
    """Read one order from Spartoo now, known or not; waits up to 30 s for the daemon to do it.

    An order not known yet is named CONNECTION ORDER.
    """
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            connection, order_id = await _wanted(conn, name)
        asked = OrderFetch(
            command="order.fetch",
            id=command_id(),
            by=asked_by(),
            connection=connection,
            order_id=order_id,
        )
        about = f"{connection} {order_id}"
        queued = f"fetch {about}: stored, not answered yet; `spartoo-sync orders show {about}`"
        reply = await _fetched(parts, asked)
        await tell(invocation, parts, reply, f"fetch {about}: done", queued)


async def _wanted(conn: Conn, name: list[str]) -> tuple[str, str]:
    if len(name) > 1:
        await known_connection(conn, name[0])
        return name[0], name[1]
    order = await find_order(conn, name)
    return order.connection, order.id


async def _fetched(parts: Parts, asked: OrderFetch) -> Reply:
    """The desk's reply; where no daemon runs, as soon as the request is stored."""
    if not await daemon_runs(parts):
        parts.desk.fetch_patience = 0
    return await parts.desk.carry_out(asked)
