"""Logs are pruned by age, round after round, also where time and position disagree."""

import asyncio
from datetime import UTC, datetime, timedelta

from adapters.postgres.database import Database
from daemon.retention import Retention

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
LOG_EVENTS = """
insert into events (id, type, source, subject, sequence, time, data)
select gen_random_uuid(), 'order.new', '/spartoo/shoes-fr', 'A', n, ($1::timestamptz[])[n], '{}'
from generate_subscripts($1::timestamptz[], 1) as n
"""
LOG_CALLS = """
insert into communications (connection, order_id, service, result, summary, at)
select 'shoes-fr', 'A', 'xml_maj_orders', '1', 'accept', at from unnest($1::timestamptz[]) as at
"""


async def test_what_is_younger_than_its_neighbours_goes_when_it_is_due(db: Database) -> None:
    days = [0, 0, 5, 0, 1, 0, *[2] * 2000, 9]
    times = [START + day * DAY for day in days]
    async with db.connection() as conn:
        for statement in (LOG_EVENTS, LOG_CALLS):
            await conn.execute(statement, times)
        await conn.execute("update relay set position = (select max(position) from events)")
    today = START
    retention = Retention(db, 180, lambda: today)
    left: list[list[int]] = []
    for passed in (1, 2, 3, 6, 10):
        today = START + timedelta(days=180 + passed) - timedelta(hours=1)
        await retention.round(asyncio.Event())
        async with db.connection() as conn:
            for column in ("time from events", "at from communications"):
                rows = await conn.fetch(f"select distinct {column} order by 1")
                left.append([(row[0] - START).days for row in rows])
    assert left[::2] == left[1::2] == [[1, 2, 5, 9], [2, 5, 9], [5, 9], [9], []]
