"""`spartoo-sync orders slip`: the delivery slip Spartoo wants in the parcel."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.asking import find_order
from daemon.cli.command import Invocation
from daemon.cli.order_names import OrderName
from daemon.cli.output import note, print_json
from daemon.slips import delivery_slip


async def save_slip(
    invocation: Invocation,
    name: OrderName,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the PDF is written.")
    ],
) -> None:
    """Save an order's delivery slip; it is asked for once, then kept."""
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            order = await find_order(conn, name)
        pdf = await delivery_slip(parts.database, parts.accounts, order, parts.clock)
    output.write_bytes(pdf)
    about = {"connection": order.connection, "order_id": order.id}
    if invocation.as_json:
        print_json(about | {"file": str(output), "bytes": len(pdf)})
    else:
        note(f"delivery slip of {order.connection} {order.id}: {output} ({len(pdf)} bytes)")
