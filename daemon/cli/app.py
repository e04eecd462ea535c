"""The program: its groups of commands, and how every command ends."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from daemon.cli.catalog import group as catalog
from daemon.cli.command import ConfigOption, Invocation, JsonOption
from daemon.cli.connections import group as connections
from daemon.cli.database import group as database
from daemon.cli.diagram import register as register_diagram
from daemon.cli.doctor import register as register_doctor
from daemon.cli.events import group as events
from daemon.cli.failures import INTERRUPTED, REFUSED, failure_of
from daemon.cli.keys import group as keys
from daemon.cli.orders import group as orders
from daemon.cli.output import print_error
from daemon.cli.privacy import group as privacy
from daemon.cli.process import register as register_processes
from daemon.cli.quarantine import group as quarantine
from daemon.cli.returns import group as returns
from daemon.cli.sync import register as register_sync

app = typer.Typer(
    name="spartoo-sync",
    help="Spartoo order synchronization for Koongo: the daemon, and what operates it.",
    epilog="Exit status: 0 done, 1 refused or failed, 2 wrong usage or settings.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_GROUPS = (connections, orders, returns, catalog, events, quarantine, keys, privacy, database)
for _group in _GROUPS:
    app.add_typer(_group)
for _register in (register_processes, register_sync, register_doctor, register_diagram):
    _register(app)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        print(f"spartoo-sync {version('spartoo-order-sync')}")  # noqa: T201 - the output
        raise typer.Exit


@app.callback()
def _before(
    ctx: typer.Context,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    ctx.obj = Invocation(config, as_json)


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line; the exit status. Errors nobody foresaw pass through."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    try:
        status = typer.main.get_command(app).main(
            arguments, prog_name="spartoo-sync", standalone_mode=False
        )
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Abort:
        print_error("not_confirmed", "nothing was done", as_json=as_json)
        return REFUSED
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        if failure.message:  # empty where the help was shown instead
            print_error(failure.code, failure.message, as_json=as_json)
        return failure.status
    return status if isinstance(status, int) else 0
