"""Which events of the log are meant."""

from typing import Annotated

import typer

from statemachine.changes import EventType

OfType = Annotated[EventType | None, typer.Option("--type", help="Of this kind only.")]
OfOrder = Annotated[
    str | None, typer.Option("--order", metavar="ORDER", help="Of the order with this id only.")
]
