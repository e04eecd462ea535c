"""Fills a database with a million orders and what comes with them, and times the list queries.

Not collected by pytest. `python -m tests.bench.fill DSN [ORDERS]` fills an empty database that has
the schema; `python -m tests.bench.queries DSN` then measures.
"""

import asyncio
import sys
import time
from importlib.resources import files
from typing import Any, cast

import asyncpg

from adapters.postgres.migrate import upgrade


async def fill(dsn: str, orders: int) -> None:
    """Fill a database in a few minutes for a million orders."""
    await upgrade(dsn)
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute("set synchronous_commit = off")
        await conn.execute("select set_config('fill.orders', $1::text, false)", str(orders))
        for statement in _statements():
            began = time.monotonic()
            await conn.execute(cast("Any", statement))
            purpose = statement.splitlines()[0].removeprefix("-- ")
            print(f"{time.monotonic() - began:7.1f} s  {purpose}", flush=True)  # noqa: T201
    finally:
        await conn.close()


def _statements() -> list[str]:
    text = (files(__package__) / "fill.sql").read_text(encoding="utf-8")
    return [part.strip() for part in text.split("\n\n") if part.strip()]


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000))
