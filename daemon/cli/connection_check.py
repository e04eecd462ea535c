"""`spartoo-sync connections test`: whether the API key works."""

from typing import Annotated

import typer

from daemon.cli.command import Invocation
from daemon.cli.output import note, print_json
from daemon.connection_check import check_connection
from statemachine.model import ConnectionId


async def test_connection(
    invocation: Invocation,
    connection: Annotated[str, typer.Argument(metavar="ID", help="Id of the connection.")],
) -> None:
    """Make one cheap call: says whether the key works, is wrong, or the site is not reachable."""
    async with invocation.parts() as parts:
        await check_connection(parts.accounts, ConnectionId(connection))
    if invocation.as_json:
        print_json({"connection": connection, "result": "works"})
    else:
        note(f"connection {connection} works: the site knows the API key")
