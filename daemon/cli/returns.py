"""`spartoo-sync returns`: see returns (RMA), accept and refuse them, send their labels."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from adapters.spartoo.label import LARGEST_LABEL
from daemon.cli.asking import asked_by, command_id, tell
from daemon.cli.command import Invocation, command
from daemon.cli.order_names import ReturnName
from daemon.cli.return_list import list_returns
from daemon.cli.return_show import find_return, show_return
from daemon.command_messages import ReturnDecision, ReturnLabel
from daemon.labels import label_file, label_link
from statemachine.facts import Refused
from statemachine.model import Return

group = typer.Typer(
    name="returns",
    help="Returns (RMA): list and open them, accept, refuse, send a label.",
    no_args_is_help=True,
)
command(group, "list")(list_returns)
command(group, "show")(show_return)


@command(group, "accept")
async def accept(invocation: Invocation, name: ReturnName) -> None:
    """Accept a return that was received: Spartoo is told."""
    await _decide(invocation, name, "return.accept")


@command(group, "refuse")
async def refuse(invocation: Invocation, name: ReturnName) -> None:
    """Refuse a return: Spartoo is told; it can still be accepted later."""
    await _decide(invocation, name, "return.refuse")


@command(group, "label")
async def label(
    invocation: Invocation,
    name: ReturnName,
    link: Annotated[str | None, typer.Option(help="Link to the label.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help=f"The label, a PDF of at most {LARGEST_LABEL >> 20} MiB."),
    ] = None,
) -> None:
    """Give the label the customer sends the parcel back with, by --link or by --file."""
    if (link is None) == (file is None):
        raise typer.BadParameter("give --link URL, or --file PDF, not both")
    pdf = None if file is None else await asyncio.to_thread(_read, file)
    _check(link, pdf)

    def asked(returned: Return) -> ReturnLabel:
        return ReturnLabel(
            command="return.label",
            id=command_id(),
            by=asked_by(),
            connection=returned.connection,
            return_id=returned.id,
            label_link=link,
            label_file=None if pdf is None else b64encode(pdf).decode(),
        )

    await _ask(invocation, name, "label", asked)


def _read(file: Path) -> bytes:
    """The file's start: one byte more than a label may have tells that it is too long."""
    with file.open("rb") as opened:
        return opened.read(LARGEST_LABEL + 1)


def _check(link: str | None, pdf: bytes | None) -> None:
    """Raises Refused `bad_command`, in the words of the option."""
    try:
        if link is not None:
            label_link(link)
        if pdf is not None:
            label_file(pdf)
    except ValueError as error:
        option = "--link" if link is not None else "--file"
        raise Refused("bad_command", f"{option}: {error}") from error


async def _decide(
    invocation: Invocation, name: list[str], what: Literal["return.accept", "return.refuse"]
) -> None:
    def asked(returned: Return) -> ReturnDecision:
        return ReturnDecision(
            command=what,
            id=command_id(),
            by=asked_by(),
            connection=returned.connection,
            return_id=returned.id,
        )

    await _ask(invocation, name, what.removeprefix("return."), asked)


async def _ask(
    invocation: Invocation,
    name: list[str],
    verb: str,
    asked: Callable[[Return], ReturnDecision | ReturnLabel],
) -> None:
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            returned = await find_return(conn, name)
        reply = await parts.desk.carry_out(asked(returned))
        about = f"{returned.connection} {returned.id}"
        queued = (
            f"{verb} {about}: stored, Spartoo is told next; `spartoo-sync returns show {about}`"
        )
        await tell(invocation, parts, reply, f"{verb} {about}: done", queued)
