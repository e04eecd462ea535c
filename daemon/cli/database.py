"""`spartoo-sync db`: the schema."""

import typer

from adapters.postgres import migrate
from daemon.cli.command import Invocation, command
from daemon.cli.output import note, print_json
from daemon.wiring import database_url

group = typer.Typer(name="db", help="The database's schema.", no_args_is_help=True)


@command(group, "upgrade")
async def upgrade(invocation: Invocation) -> None:
    """Bring the schema up to date; does nothing where it is. The daemon does this at start."""
    async with database_url(invocation.quiet_settings()) as dsn:
        revision = await migrate.upgrade(dsn)
    if invocation.as_json:
        print_json({"schema": revision})
    else:
        note(f"the schema is {revision}, as this program needs it")
