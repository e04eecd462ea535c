"""How an order is named on the command line: ORDER, or CONNECTION ORDER."""

from typing import Annotated

import typer

_MOST = 2


def _one_or_two(names: list[str]) -> list[str]:
    if len(names) > _MOST:
        raise typer.BadParameter("name one order: ORDER, or CONNECTION ORDER")
    return names


OrderName = Annotated[
    list[str],
    typer.Argument(
        metavar="[CONNECTION] ORDER",
        callback=_one_or_two,
        help="The order's id; the connection before it where two hold the same id.",
        show_default=False,
    ),
]
