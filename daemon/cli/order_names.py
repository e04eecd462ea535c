"""How orders and returns are named on the command line: by their id, or CONNECTION and id."""

from collections.abc import Callable
from typing import Annotated

import typer

from daemon.cli.completion import complete_connection

_MOST = 2


def _one_or_two(kind: str) -> Callable[[list[str]], list[str]]:
    def check(names: list[str]) -> list[str]:
        if len(names) > _MOST:
            wanted = f"name one {kind}: {kind.upper()}, or CONNECTION {kind.upper()}"
            raise typer.BadParameter(wanted)
        return names

    return check


def _first_a_connection(ctx: typer.Context, incomplete: str) -> list[str]:
    return [] if ctx.params.get("name") else complete_connection(ctx, incomplete)


OrderName = Annotated[
    list[str],
    typer.Argument(
        metavar="[CONNECTION] ORDER",
        callback=_one_or_two("order"),
        help="The order's id; the connection before it where two hold the same id.",
        show_default=False,
        autocompletion=_first_a_connection,
    ),
]
ReturnName = Annotated[
    list[str],
    typer.Argument(
        metavar="[CONNECTION] RETURN",
        callback=_one_or_two("return"),
        help="The return's id; the connection before it where two hold the same id.",
        show_default=False,
        autocompletion=_first_a_connection,
    ),
]
