"""The command reader's lanes: nothing a command does keeps others from being carried out."""

import asyncio
from functools import partial

from structlog.testing import capture_logs

from daemon.command_messages import (
    AnyCommand,
    CatalogUpsert,
    ConnectionSwitch,
    OrderDecision,
    OrderFetch,
    StockSet,
)
from daemon.command_reader import Lanes

STOCK = StockSet(id="1", command="stock.set", product_id="10001", stock=1)
FETCH = OrderFetch(id="2", command="order.fetch", connection="fr", order_id="A")


async def test_a_lane_outlives_work_that_fails() -> None:
    lanes, done = Lanes(), asyncio.Event()

    async def fail() -> None:
        raise TypeError("a reply that cannot be written")

    async def work() -> None:
        done.set()

    with capture_logs() as logs:
        lanes.put(FETCH, fail, work)
        lanes.put(STOCK, fail, work)
        lanes.put(STOCK, work, work)
        async with asyncio.timeout(5):
            await done.wait()
        await lanes.drain()
    assert [entry["event"] for entry in logs] == ["command not answered"] * 2


ON_FR = {"connection": "fr", "by": "ada"}
ACCEPT = OrderDecision(id="3", command="order.accept", order_id="A", **ON_FR)
OTHER = OrderDecision(id="4", command="order.accept", order_id="B", **ON_FR)
DISABLE = ConnectionSwitch(id="5", command="connection.disable", **ON_FR)


async def carried_out(*commands: AnyCommand, held: AnyCommand) -> list[str]:
    """The ids in the order in which they began; `held` goes on until the others stand still."""
    lanes, begun, go_on = Lanes(), list[str](), asyncio.Event()

    async def work(command: AnyCommand) -> None:
        begun.append(command.id)
        if command is held:
            await go_on.wait()

    async def give_back() -> None:
        raise AssertionError

    for command in commands:
        lanes.put(command, partial(work, command), give_back)
    await _until_all_stand_still()
    begun.append("held")
    go_on.set()
    await _until_all_stand_still()
    await lanes.drain()
    return begun


async def _until_all_stand_still() -> None:
    for _ in range(50):  # turns of the loop; each command takes a few
        await asyncio.sleep(0)


async def test_a_fetch_is_waited_for_by_its_order_alone() -> None:
    assert await carried_out(FETCH, ACCEPT, OTHER, STOCK, held=FETCH) == [
        "2",
        "4",
        "1",
        "held",
        "3",
    ]


async def test_a_switch_keeps_its_place_among_the_orders_of_its_connection() -> None:
    found = await carried_out(ACCEPT, OTHER, DISABLE, held=ACCEPT)
    assert found == ["3", "4", "held", "5"]
    found = await carried_out(DISABLE, ACCEPT, STOCK, held=DISABLE)
    assert found == ["5", "1", "held", "3"]


async def test_a_switch_does_not_wait_for_fetches() -> None:
    found = await carried_out(FETCH, DISABLE, ACCEPT, held=FETCH)
    assert found == ["2", "5", "held", "3"]


async def test_a_catalogue_of_a_connections_name_is_another_thing() -> None:
    of_the_name = CatalogUpsert(id="6", command="catalog.upsert", catalog="fr", products=[])
    assert await carried_out(of_the_name, ACCEPT, held=of_the_name) == ["6", "3", "held"]


async def test_what_waits_behind_a_fetch_that_is_cut_off_is_given_back() -> None:
    lanes, given_back = Lanes(), list[str]()

    async def wait() -> None:
        await asyncio.Event().wait()

    async def give_back() -> None:
        given_back.append("given back")

    lanes.put(FETCH, wait, give_back)
    lanes.put(ACCEPT, wait, give_back)
    await asyncio.sleep(0)
    await lanes.drain()
    assert given_back == ["given back"]
