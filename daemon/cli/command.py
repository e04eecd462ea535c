"""How a command is made: an async function, given what every command needs."""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec

import typer
import uvloop

from adapters.postgres import migrate
from adapters.postgres.database import Database
from daemon.logs import configure_logging
from daemon.metrics import Metrics
from daemon.settings import Settings, load_settings
from daemon.wiring import Parts, database_url, open_parts

Arguments = ParamSpec("Arguments")

_POOL_SIZE = 4

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings file (TOML). Environment variables SPARTOO_SYNC_… win over it.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Show JSON, for programs.")]


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the program: where its settings are, how it shows what it found."""

    config: Path | None = None
    as_json: bool = False

    def settings(self) -> Settings:
        """Raises SettingsError."""
        return load_settings(self.config, os.environ)

    def quiet_settings(self) -> Settings:
        """As `settings`; from now on only warnings are logged, unless another level was set."""
        settings = self.settings()
        quiet = "warning" if settings.log_level == "info" else settings.log_level
        configure_logging(settings.log_format, quiet)
        return settings

    @asynccontextmanager
    async def parts(self) -> AsyncIterator[Parts]:
        """The database, open and current, and what acts on it. Raises PostgresError."""
        settings = self.quiet_settings()
        async with database_url(settings) as dsn:
            database = await Database.open(dsn, max_size=_POOL_SIZE)
            try:
                async with database.connection() as conn:
                    await migrate.check(conn)
                async with open_parts(settings, database, Metrics()) as parts:
                    yield parts
            finally:
                await database.close()


Body = Callable[Concatenate[Invocation, Arguments], Awaitable[None]]


def command(
    group: typer.Typer, name: str, *, json: bool = True
) -> Callable[[Body[Arguments]], Body[Arguments]]:
    """Make an async function a command: its parameters, --config and, if so wished, --json."""

    def register(body: Body[Arguments]) -> Body[Arguments]:
        def run(ctx: typer.Context, **given: object) -> None:
            invocation = _invocation(ctx, given)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_awaited(body, invocation, given))

        run.__doc__ = body.__doc__
        run.__signature__ = _signature(body, json=json)  # type: ignore[attr-defined] # what typer reads
        run.__annotations__ = {}
        group.command(name)(run)
        return body

    return register


async def _awaited(
    body: Callable[..., Awaitable[None]], invocation: Invocation, given: dict[str, object]
) -> None:
    await body(invocation, **given)


def _signature(body: Callable[..., object], *, json: bool) -> inspect.Signature:
    own = [*inspect.signature(body, eval_str=True).parameters.values()][1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    common = [inspect.Parameter("config", keyword, default=None, annotation=ConfigOption)]
    if json:
        common.append(inspect.Parameter("as_json", keyword, default=False, annotation=JsonOption))
    ctx = inspect.Parameter("ctx", keyword, annotation=typer.Context)
    return inspect.Signature([ctx, *(p.replace(kind=keyword) for p in own), *common])


def _invocation(ctx: typer.Context, given: dict[str, object]) -> Invocation:
    """The options before the command's name, overridden by those behind it."""
    before = ctx.find_root().obj
    invocation = before if isinstance(before, Invocation) else Invocation()
    config, as_json = given.pop("config"), given.pop("as_json", False)
    if isinstance(config, Path):
        invocation = replace(invocation, config=config)
    return replace(invocation, as_json=True) if as_json else invocation
