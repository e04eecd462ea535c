"""`spartoo-sync diagram`: the order's state machine."""

from typing import Annotated

import typer

from daemon.cli.command import Invocation, command
from daemon.cli.output import print_json
from statemachine.diagram import mermaid
from statemachine.model import OrderState

State = Annotated[OrderState | None, typer.Option("--state", help="Make this state stand out.")]


def register(app: typer.Typer) -> None:
    command(app, "diagram")(diagram)


async def diagram(invocation: Invocation, state: State = None) -> None:
    """Draw the order's state machine as a Mermaid diagram, from the tables the daemon goes by."""
    drawing = mermaid(state)
    if invocation.as_json:
        print_json({"mermaid": drawing})
    else:
        print(drawing, end="")  # noqa: T201 - the output
