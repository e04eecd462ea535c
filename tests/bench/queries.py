"""Times every list query on a filled database: `python -m tests.bench.queries DSN [WORD]`.

The best of RUNS is shown, from EXPLAIN (ANALYZE, BUFFERS): planning and execution in the database,
and the blocks touched. WORD picks the cases whose name holds it and shows their plans.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson

from adapters.postgres import catalog, events, kept_orders, orders, quarantine, returns
from adapters.postgres.database import Conn, Database
from statemachine.changes import EventType
from statemachine.model import CatalogId, ConnectionId, OrderState, ReturnState

RUNS = 5
BIG, SMALL = ConnectionId("shop-00"), ConnectionId("shop-47")


class Explaining:
    """A connection that explains what it fetches, and fetches it."""

    def __init__(self, conn: Conn):
        self._conn = conn
        self.milliseconds = 0.0
        self.blocks = 0
        self.plans: list[str] = []

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        await self._explain(sql, args)
        return await self._conn.fetch(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        await self._explain(sql, args)
        return await self._conn.fetchval(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:
        await self._explain(sql, args)
        return await self._conn.fetchrow(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:
        return await self._conn.execute(sql, *args)

    async def _explain(self, sql: str, args: tuple[Any, ...]) -> None:
        explain = "explain (analyze, buffers, format json) " + sql
        runs = [orjson.loads(await self._conn.fetchval(explain, *args))[0] for _ in range(RUNS)]
        self.milliseconds += min(run["Execution Time"] + run["Planning Time"] for run in runs)
        plan = runs[-1]["Plan"]
        self.blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        text = await self._conn.fetch("explain (analyze, buffers) " + sql, *args)
        self.plans.append("\n".join(row[0] for row in text))


async def cases(conn: Any) -> AsyncIterator[tuple[str, Any]]:
    """Each query by name, as a coroutine that has not begun."""

    def page(**given: Any) -> Any:
        return orders.page(conn, **given)

    for shop, name in ((None, "all"), (BIG, "big"), (SMALL, "small")):
        yield f"orders.page {name}", page(connection=shop)
        for state in OrderState:
            yield f"orders.page {name} {state}", page(connection=shop, state=state)
        yield f"orders.page {name} attention", page(connection=shop, attention=True)
        yield (
            f"orders.page {name} attention cancelled",
            page(connection=shop, attention=True, state=OrderState.CANCELLED),
        )
        for word in (
            "nothing",
            "ada",
            "ada name00007",
            "name0",
            "company 77",
            "s-40",
            "p4711",
            "c4c",
        ):
            yield f"orders.page {name} text {word!r}", page(connection=shop, text=word)
        yield (
            f"orders.page {name} text 'ada' lost",
            page(connection=shop, text="ada", state=OrderState.LOST),
        )
        since, until = (
            datetime.fromisoformat("2025-06-01T00:00Z"),
            datetime.fromisoformat("2025-06-02T00:00Z"),
        )
        yield f"orders.page {name} a day", page(connection=shop, since=since, until=until)
        yield (
            f"orders.page {name} a day lost",
            page(connection=shop, since=since, until=until, state=OrderState.LOST),
        )
        yield (
            f"orders.page {name} a day text 'ada'",
            page(connection=shop, since=since, until=until, text="ada"),
        )
        deep = (await orders.page(conn, connection=shop, until=since)).next_cursor
        yield f"orders.page {name} deep cursor", page(connection=shop, cursor=deep)
        yield (
            f"orders.page {name} deep cursor cancelled",
            page(connection=shop, cursor=deep, state=OrderState.CANCELLED),
        )
        yield f"returns.page {name}", returns.page(conn, connection=shop)
        for returned in (ReturnState.REQUESTED, ReturnState.ACCEPTED):
            yield (
                f"returns.page {name} {returned}",
                returns.page(conn, connection=shop, state=returned),
            )
        yield f"returns.page {name} attention", returns.page(conn, connection=shop, attention=True)
        yield f"quarantine.page {name}", quarantine.page(conn, connection=shop)
        yield (
            f"events.after {name} rare kind",
            events.after(conn, 5000, 100, type=EventType.CONNECTION_SUSPENDED, connection=shop),
        )
        yield f"events.after {name}", events.after(conn, 5000, 100, connection=shop)
    for product in (None, "nothing", "P4711", "SKU-77", "boot", "derby acme m17"):
        yield f"catalog.page {product!r}", catalog.page(conn, CatalogId("default"), text=product)
    yield "events.backlog", events.backlog(conn)
    yield "orders.counts", orders.counts(conn)
    yield "orders.oldest_pending", orders.oldest_pending(conn)
    yield "orders.placed_in_month", orders.placed_in_month(conn, datetime.now(UTC))
    yield "returns.counts", returns.counts(conn)
    yield "quarantine.counts", quarantine.counts(conn)
    yield "catalog.age", catalog.age(conn)
    yield "what if", kept_orders.page(conn, BIG, None, None, None, with_prices=True)


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Conn]:
    database = await Database.open(dsn, max_size=1)
    try:
        async with database.connection() as conn:
            yield conn
    finally:
        await database.close()


async def measure(dsn: str, wanted: str) -> None:
    """Print name, milliseconds, blocks; the plans where few are wanted."""
    async with opened(dsn) as conn:
        explaining = Explaining(conn)
        async for name, query in cases(explaining):
            if wanted not in name:
                query.close()
                continue
            explaining.milliseconds, explaining.blocks, explaining.plans = 0.0, 0, []
            try:
                await query
            except Exception as error:  # noqa: BLE001 - a time-out is a result too
                print(f"{name:45}  {type(error).__name__}", flush=True)  # noqa: T201
                continue
            took = f"{explaining.milliseconds:9.1f} ms {explaining.blocks:8} blocks"
            print(f"{name:45} {took}", flush=True)  # noqa: T201
            if wanted:
                print(*explaining.plans, sep="\n")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
