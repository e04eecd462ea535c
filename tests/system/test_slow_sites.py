"""Sites that take calls and never answer hold nobody up but themselves."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from tests.fixtures.postgres import eventually
from tests.fixtures.system import ACCOUNTS, System

HANGING = tuple(name for name in ACCOUNTS if name != "auto")
WAITING = """
insert into actions (connection, order_id, kind, requested_by, due_at, created_at)
select connection, 'A' || n, 'fetch', 'tests', now() - interval '1 hour', now()
from unnest($1::text[]) as connection, generate_series(1, 100) as n
"""
IN_HAND = """
select
    (select count(distinct connection) from actions where holder is not null) as acting,
    (select count(distinct connection) from looks where holder is not null and connection <> 'auto')
        as looking
"""


@pytest.fixture
async def silent_url() -> AsyncIterator[str]:
    """A site that takes every call and says nothing."""
    gone = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mp"
    gone.set()
    server.close()


async def test_ten_connections_to_a_hanging_site_do_not_hold_up_an_eleventh(
    offline: System, silent_url: str
) -> None:
    assert len(HANGING) == 10
    for name in HANGING:
        offline.connect(name, base_url=silent_url)
    offline.connect("auto", auto_accept=True)
    await offline.fill_catalogue(100)
    await offline.rows(WAITING, list(HANGING))
    await offline.run()

    async def all_wait() -> bool:
        (row,) = await offline.rows(IN_HAND)
        return {row["acting"], row["looking"]} == {len(HANGING)}

    await eventually(all_wait, 20)
    orders = offline.place("auto", 20, lines=[catalog_line(VARIANTS["98_38"], 1)])
    await offline.reaches({order.id: "synced" for order in orders}, 20)
