"""`spartoo-sync catalog push`: tell the marketplace all of the stock anew."""

from typing import Annotated

import typer

from adapters.postgres import stock_pushes
from adapters.postgres.database import Tx
from daemon.cli.asking import NO_DAEMON, daemon_runs, known_connection
from daemon.cli.command import Invocation
from daemon.cli.output import note, print_json
from daemon.transactions import in_transaction
from statemachine.facts import Refused
from statemachine.model import ConnectionId


async def push_stock(
    invocation: Invocation,
    connection: Annotated[
        str | None,
        typer.Argument(help="Id of one connection; without it, every one that pushes stock."),
    ] = None,
) -> None:
    """Tell what is available of every product whose stock is known, whether it moved or not."""
    async with invocation.parts() as parts:

        async def mark(tx: Tx) -> dict[ConnectionId, int]:
            wanted = await _pushing(tx, connection) if connection else None
            return await stock_pushes.mark_all(tx, wanted)

        marked = await in_transaction(parts.database, mark)
        running = await daemon_runs(parts)
    if invocation.as_json:
        print_json({"marked": marked})
    for name, products in marked.items():
        note(f"{name}: {products} products are told next; `spartoo-sync catalog show` tells how")
    if not marked:
        note("nothing to tell: no connection with push_stock has products whose stock is known")
    elif not running:
        note(NO_DAEMON)


async def _pushing(tx: Tx, connection: str) -> ConnectionId:
    found = await known_connection(tx, connection)
    if not found.settings.push_stock:
        raise Refused(
            "push_stock_off",
            f"connection {connection} does not push stock; nothing was marked:"
            f" `spartoo-sync connections set {connection} push_stock=true` switches it on",
        )
    return found.id
