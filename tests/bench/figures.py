"""How figures are shown: in tables, under the machine and the versions they were measured with."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import aio_pika
import asyncpg
from rich.console import Console
from rich.table import Table

LIBRARIES = ("aio-pika", "aiormq", "aiohttp", "asyncpg", "lxml", "pydantic", "uvloop")
WIDTH = 110


def show(title: str, figures: Mapping[str, str]) -> None:
    """Print one figure a line."""
    table = Table(title=title, show_header=False)
    for name, figure in figures.items():
        table.add_row(name, figure)
    Console(width=WIDTH).print(table)


def show_rows(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=WIDTH).print(table)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of them do not pass."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


async def show_machine(dsn: str, amqp_url: str) -> None:
    """Print what the figures of this run were measured with."""
    show(
        "Measured with",
        {
            "machine": f"{os.cpu_count()} cores, {_processor()}, load {os.getloadavg()[0]:.1f}",
            "system": f"{platform.system()} {platform.release()}",
            "Python": platform.python_version(),
            "PostgreSQL": await _postgres(dsn),
            "RabbitMQ": await _rabbitmq(amqp_url),
            "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        },
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


async def _postgres(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        fsync = await connection.fetchval("show fsync")
        return f"{await connection.fetchval('show server_version')}, fsync {fsync}"
    finally:
        await connection.close()


async def _rabbitmq(url: str) -> str:
    async with await aio_pika.connect(url) as connection:
        assert connection.transport is not None
        said = connection.transport.connection.server_properties["version"]
        return said.decode() if isinstance(said, bytes) else str(said)
