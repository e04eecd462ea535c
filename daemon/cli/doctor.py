"""`spartoo-sync doctor`: what could keep the daemon from its work, and what to do about it."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import typer
from rich.console import RenderableType

from daemon.cli.command import Invocation, command
from daemon.cli.failures import REFUSED
from daemon.cli.output import cell, console, show, table
from daemon.doctor.configured import check_settings, wrong_settings
from daemon.doctor.examination import examine
from daemon.doctor.finding import Finding, Status
from daemon.settings import SettingsError

_STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "bold red"}


def register(app: typer.Typer) -> None:
    command(app, "doctor")(doctor)


async def doctor(invocation: Invocation) -> None:
    """Check settings, database, broker, Spartoo, clock, rights; say what to do about what is wrong.

    Exit status 0 when nothing failed, 1 otherwise. Each check has a limit; nothing is changed.
    """
    found = await _found(invocation)
    worst = max(found, key=lambda finding: [*Status].index(finding.status)).status
    document = {"status": worst, "findings": found}
    show(document, as_json=invocation.as_json, render=lambda: _render(found))
    if worst is Status.FAILED:
        raise typer.Exit(REFUSED)


async def _found(invocation: Invocation) -> list[Finding]:
    try:
        settings = invocation.quiet_settings()
    except SettingsError as error:
        return wrong_settings(error)
    with console(stderr=True).status("looking …"):
        given = check_settings(settings, invocation.config, os.environ)
        return given + await examine(settings)


def _render(found: Sequence[Finding]) -> Iterator[RenderableType]:
    yield table(
        ("check", "", "found", "what to do"),
        [
            (one.check, cell(one.status, _STYLES[one.status]), one.message, one.remedy)
            for one in found
        ],
    )
    counts = Counter(one.status for one in found)
    yield "\n" + ", ".join(f"{counts[status]} {status}" for status in Status)
