"""`spartoo-sync keys`: what API keys are encrypted with."""

import typer

from adapters.postgres import connections
from daemon.cli.command import Invocation, command
from daemon.cli.output import note, print_json

group = typer.Typer(name="keys", help="How API keys are encrypted at rest.", no_args_is_help=True)


@command(group, "rotate")
async def rotate(invocation: Invocation) -> None:
    """Encrypt every API key anew, with the first secret key.

    To change the secret key: put the new one before the old in SECRET_KEY (a comma between),
    restart every daemon, run this, take the old one out. Until then both are needed.
    """
    async with invocation.parts() as parts, parts.database.transaction() as tx:
        rotated = await connections.rotate(tx, parts.cipher)
    if invocation.as_json:
        print_json({"rotated": rotated})
    else:
        keys = "1 API key is" if rotated == 1 else f"{rotated} API keys are"
        note(f"{keys} encrypted with the first secret key now; SECRET_KEY needs no other any more")
