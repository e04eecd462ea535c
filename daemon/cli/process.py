"""`run`, `simulator` and `demo`: what stays in the foreground until it is stopped."""

import asyncio
import gc
import os
import re
from typing import Annotated

import typer

from adapters.spartoo.simulator import AccountConfig, SimulatorConfig, running_simulator
from daemon.cli.command import Invocation, command
from daemon.cli.output import note
from daemon.demo import run_demo
from daemon.logs import configure_logging
from daemon.main import run_daemon
from daemon.reload import Reload
from daemon.supervisor import stop_on_signals
from daemon.tracing import tracing

_ACCOUNT = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,62})=([0-9A-Fa-f]{16})", re.ASCII)
_OBJECTS = 50_000  # made and not freed before the collector looks
_DEFAULT_ACCOUNTS = ["shoes-fr=0123456789ABCDEF"]


def register(app: typer.Typer) -> None:
    command(app, "run", json=False)(run)
    command(app, "demo", json=False)(demo)
    command(app, "simulator", json=False)(simulator)


async def run(invocation: Invocation) -> None:
    """Run the daemon until SIGTERM or Ctrl-C; a second one leaves at once.

    It brings the database's schema up to date, applies the connections of the settings file, polls
    Spartoo, carries out what was decided, publishes events and takes commands. Logs go to stderr.
    SIGHUP reads connections, log level and log format again.
    """
    settings = invocation.settings()
    configure_logging(settings.log_format, settings.log_level)
    stop = asyncio.Event()
    stop_on_signals(stop)
    _collect_seldom()
    with tracing(os.environ):
        await run_daemon(settings, stop, Reload(invocation.settings))


def _collect_seldom() -> None:
    """Have the collector of cycles pass over what stays, and wait for more than a batch's objects.

    A batch of orders is a hundred thousand objects that are freed without it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 20, 20)


async def demo(
    invocation: Invocation,
    seconds: Annotated[
        float | None,
        typer.Option(min=5, help="End by itself after so many seconds, with a summary and checks."),
    ] = None,
) -> None:
    """Show the whole way of an order: simulated Spartoo, the daemon, RabbitMQ, a consumer.

    Everything is private and temporary: an embedded PostgreSQL and a RabbitMQ node of its own,
    unless SPARTOO_SYNC_DATABASE_URL or SPARTOO_SYNC_AMQP_URL (both must be empty) are set. With
    --seconds the exit status is 0 only if every event arrived once and in order, at least one
    order was synced and none was accepted twice.
    """
    configure_logging("console", "warning")
    await run_demo(invocation.settings(), seconds)


def _accounts(given: list[str]) -> list[str]:
    for account in given:
        if not _ACCOUNT.fullmatch(account):
            # the value may hold a key, so it is not repeated
            raise typer.BadParameter("write NAME=KEY, the key being 16 hexadecimal digits")
    return given


async def simulator(
    _invocation: Invocation,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 9900,
    rate: Annotated[
        float, typer.Option(min=0, max=10_000, help="New orders per second, all accounts together.")
    ] = 0.2,
    orders: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Orders there from the start.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other orders.")] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Calls per account, web service and hour, then -429.")
    ] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=KEY",
            callback=lambda given: _accounts(given or _DEFAULT_ACCOUNTS),
            help="An account and its API key (16 hexadecimal digits); may be given several times.",
            show_default=_DEFAULT_ACCOUNTS[0],
        ),
    ] = None,
) -> None:
    """Run a marketplace that answers as Spartoo does, with invented orders, until Ctrl-C.

    Under /control it takes faults, back-office changes and more orders, and shows every call.
    """
    named = [entry.split("=") for entry in account or _DEFAULT_ACCOUNTS]
    config = SimulatorConfig(
        host=host,
        port=port,
        rate=rate,
        seed=seed,
        limit_per_hour=limit,
        initial_orders=orders,
        accounts=tuple(AccountConfig(name=name, key=key) for name, key in named),
    )
    stop = asyncio.Event()
    configure_logging()
    stop_on_signals(stop)
    async with running_simulator(config) as running:
        names = ", ".join(name for name, _ in named)
        note(f"simulated Spartoo at {running.url}, accounts {names}; Ctrl-C ends it")
        note(f"  a connection to it: --set base_url={running.url}, with the account's key")
        note(f"  orders, faults, calls: {running.control_url}/summary, /orders, /faults, /ledger")
        await stop.wait()
