"""The simulator as a running server: start, rate, size, stop."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from adapters.rabbitmq.node import free_ports
from adapters.spartoo.simulator import SimulatorConfig, running_simulator, serve

KEY = "0123456789ABCDEF"
EXPORT = {"partenaire": KEY, "date": "2000-01-01:00:00:00"}
START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


async def test_the_same_seed_gives_the_same_export() -> None:
    config = SimulatorConfig(seed=3, initial_orders=20, rate=1)
    exports = [await _export_after_half_a_minute(config) for _ in range(2)]
    assert exports[0] == exports[1]
    assert exports[0].count(b"<orders_id>") > 35


async def _export_after_half_a_minute(config: SimulatorConfig) -> bytes:
    now = START
    async with (
        running_simulator(config, lambda: now) as simulator,
        aiohttp.ClientSession() as http,
    ):
        now += timedelta(seconds=30)
        async with http.post(f"{simulator.url}/xml_export_orders.php", data=EXPORT) as response:
            return await response.read()


async def test_initial_orders_are_spread_over_their_span() -> None:
    config = SimulatorConfig(initial_orders=4, initial_span=timedelta(hours=4))
    async with running_simulator(config, lambda: START) as simulator:
        ages = [START - order.purchased_at for order in simulator.world.orders.values()]
    assert ages == [timedelta(hours=h) for h in (4, 3, 2, 1)]


async def test_the_rate_can_change_at_run_time() -> None:
    now = START
    async with (
        running_simulator(SimulatorConfig(), lambda: now) as simulator,
        aiohttp.ClientSession() as http,
    ):
        wanted = {"rate": 2, "pattern": "regular"}
        async with http.post(f"{simulator.control_url}/rate", json=wanted) as response:
            assert await response.json() == wanted
        now += timedelta(seconds=10)
        async with http.get(f"{simulator.control_url}/summary") as response:
            summary = await response.json()
    assert (summary["orders"], summary["rate"]) == (20, 2)


@pytest.mark.timeout(300)
async def test_an_export_of_100_000_orders_is_streamed() -> None:
    """What is sent at a time stays small, and nothing of it is kept."""
    config = SimulatorConfig(initial_orders=100_000)
    async with running_simulator(config) as simulator, aiohttp.ClientSession() as http:
        url = f"{simulator.url}/xml_export_orders.php"
        orders = total = largest = 0
        tail = b""
        async with http.post(url, data=EXPORT) as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            piece = bytearray()
            async for data, ends in response.content.iter_chunks():
                piece += data
                if ends:
                    largest = max(largest, len(piece))
                    total += len(piece)
                    orders += (tail + piece).count(b"<orders_id>")
                    tail = bytes(piece[-10:])
                    piece.clear()
    assert orders == 100_000
    assert total > 200_000_000
    assert largest < 100_000


async def test_other_calls_are_served_while_an_export_is_read_slowly() -> None:
    config = SimulatorConfig(initial_orders=20_000)
    async with running_simulator(config) as simulator, aiohttp.ClientSession() as http:
        url = f"{simulator.url}/xml_export_orders.php"
        async with http.post(url, data=EXPORT) as slow:
            await slow.content.readany()
            order_id = next(reversed(simulator.world.orders))
            change = {"partenaire": KEY, "oID": order_id, "statut": "2"}
            async with http.post(f"{simulator.url}/xml_maj_orders.php", data=change) as response:
                assert b"<errors>1</errors>" in await response.read()
            assert (await slow.content.read()).endswith(b"</statut></root>\n")


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.request("GET", url) as response:
            return response.status == 200
    except aiohttp.ClientConnectorError:
        return False


async def test_serve_runs_until_it_is_stopped() -> None:
    port, stop = free_ports(1)[0], asyncio.Event()
    summary = f"http://127.0.0.1:{port}/control/summary"
    serving = asyncio.create_task(serve(SimulatorConfig(port=port), stop))
    for _ in range(500):
        if await _answers(summary):
            break
        await asyncio.sleep(0.01)
    assert await _answers(summary)
    stop.set()
    await asyncio.wait_for(serving, 5)
    assert not await _answers(summary)


async def test_a_taken_port_is_an_error_at_start() -> None:
    async with running_simulator(SimulatorConfig()) as simulator:
        assert simulator.root.port
        with pytest.raises(OSError, match=str(simulator.root.port)):
            await serve(SimulatorConfig(port=simulator.root.port), asyncio.Event())
