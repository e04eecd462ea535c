"""Times what ingest writes on a filled database: `python -m tests.bench.writes DSN [BATCHES]`.

Batches of orders are first seen, then accepted, then published; microseconds an order of each
step's transaction, the best and the median batch (the best says more on a busy machine).
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from adapters.postgres import connections
from adapters.postgres.database import Database
from daemon.steps import take_steps
from statemachine.connection import ConnectionSettings
from statemachine.facts import AcceptedPublished, ActionCarriedOut, Fact, Seen
from statemachine.model import ActionKind, ConnectionId, Customer, OrderId
from tests.unit.builders import line, marketplace_order

BATCH = 200


def _seen(number: int) -> dict[OrderId, Fact]:
    """A batch of verified orders, as an export shows them."""
    now = datetime.now(UTC)
    facts: dict[OrderId, Fact] = {}
    for n in range(BATCH):
        order_id = OrderId(uuid4().hex[:16].upper())
        reference = f"P{(number * BATCH + n) * 37 % 90_000 + 1}"
        customer = Customer("Ada", f"Name{n * 97 % 20_000:05}", "", f"ada{number}{n}@example.org")
        order = marketplace_order(line(1, reference), order_id=order_id, customer=customer)
        facts[order_id] = Seen(replace(order, purchased_at=now), now)
    return facts


async def _timed(
    db: Database, settings: ConnectionSettings, facts: Mapping[OrderId, Fact]
) -> float:
    began = time.perf_counter()
    async with db.transaction() as tx:
        await take_steps(tx, settings, facts, datetime.now(UTC), dict.fromkeys(facts, b"f" * 16))
    return (time.perf_counter() - began) / len(facts) * 1e6


async def measure(dsn: str, batches: int) -> None:
    """Print the microseconds of each step."""
    db = await Database.open(dsn, max_size=1)
    taken: dict[str, list[float]] = {"seen": [], "accepted": [], "published": []}
    try:
        async with db.connection() as conn:
            known = await connections.get(conn, ConnectionId("shop-00"))
        settings = known.settings.model_copy(update={"active": True, "auto_accept": True})
        for number in range(batches):
            facts = _seen(number)
            taken["seen"].append(await _timed(db, settings, facts))
            carried_out = dict.fromkeys(facts, ActionCarriedOut(ActionKind.ACCEPT, "system"))
            taken["accepted"].append(await _timed(db, settings, carried_out))
            published = dict.fromkeys(facts, AcceptedPublished())
            taken["published"].append(await _timed(db, settings, published))
    finally:
        await db.close()
    for step, times in taken.items():
        best, median = min(times), statistics.median(times)
        print(f"{step:10} best {best:6.0f} µs  median {median:6.0f} µs an order")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40))
