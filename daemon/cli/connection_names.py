"""How a connection is named on the command line."""

from typing import Annotated

import typer

from daemon.cli.completion import complete_connection

ConnectionName = Annotated[
    str,
    typer.Argument(
        metavar="CONNECTION", help="Id of the connection.", autocompletion=complete_connection
    ),
]
OfConnection = Annotated[
    str | None,
    typer.Option(
        "--connection", help="Of this connection only.", autocompletion=complete_connection
    ),
]
