"""Times what ingest writes on a filled database: `python -m tests.bench.writes DSN [BATCHES]`.

Batches of orders are first seen, then accepted, then published. Microseconds of processor time an
order, in this process and in the server's (which must run here): they say more than the clock on a
machine that others share.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
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


class Clock:
    """Processor time of this process and of one server process."""

    def __init__(self, pid: int):
        self._stat = Path(f"/proc/{pid}/stat")

    def read(self) -> tuple[float, float]:
        """Seconds, here and there."""
        fields = self._stat.read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return time.process_time(), ticks / os.sysconf("SC_CLK_TCK")


async def _step(db: Database, settings: ConnectionSettings, facts: Mapping[OrderId, Fact]) -> None:
    async with db.transaction() as tx:
        await take_steps(tx, settings, facts, datetime.now(UTC), dict.fromkeys(facts, b"f" * 16))


async def measure(dsn: str, batches: int) -> None:
    """Print the microseconds of each step."""
    db = await Database.open(dsn, max_size=1)
    try:
        async with db.connection() as conn:
            known = await connections.get(conn, ConnectionId("shop-00"))
            clock = Clock(await conn.fetchval("select pg_backend_pid()"))
        settings = known.settings.model_copy(update={"active": True, "auto_accept": True})
        batch_of = [_seen(number) for number in range(batches)]
        for name, fact in (
            ("seen", None),
            ("accepted", ActionCarriedOut(ActionKind.ACCEPT, "system")),
            ("published", AcceptedPublished()),
        ):
            here, there = clock.read()
            for facts in batch_of:
                await _step(db, settings, dict.fromkeys(facts, fact) if fact else facts)
            spent = [
                after - before for after, before in zip(clock.read(), (here, there), strict=True)
            ]
            ours, servers = (seconds / batches / BATCH * 1e6 for seconds in spent)
            print(f"{name:10} {ours:6.0f} µs here {servers:6.0f} µs in the server")  # noqa: T201
    finally:
        await db.close()


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40))
