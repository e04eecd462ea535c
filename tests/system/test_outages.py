"""RabbitMQ and PostgreSQL go away, are killed and come back: the daemon works on."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.rabbitmq.node import PrivateRabbitMQ
from adapters.spartoo.simulator.fault_kinds import Latency
from tests.fixtures.checks import acceptances
from tests.fixtures.koongo import Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

ACCEPTED = ["order.new", "order.accepted", "order.synced"]
HELD = ["order.new", "order.pending_manual"]
DATABASE_AWAY = "database: the database is not available"


@pytest.mark.filterwarnings("ignore:coroutine 'Connection.close' was never awaited")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <coroutine object Connection.close")
class TestBroker:
    """A node of this module's own, killed and started again."""

    @pytest.fixture
    async def amqp_url(self, own_rabbitmq: PrivateRabbitMQ) -> AsyncIterator[str]:
        vhost = f"test-{uuid4().hex[:12]}"
        yield await own_rabbitmq.add_vhost(vhost)
        await own_rabbitmq.delete_vhost(vhost)

    async def test_killed_while_events_flow(
        self, system: System, consumer: Consumer, own_rabbitmq: PrivateRabbitMQ
    ) -> None:
        system.connect("auto", auto_accept=True)
        system.connect("manual")
        await system.fill_catalogue(100_000)
        daemon = await system.run()
        orders = system.place("auto", 300, kind="fine")

        async def flowing() -> bool:
            return len(consumer.messages) > 20

        await eventually(flowing, 30)
        await own_rabbitmq.kill()
        meanwhile = system.place("auto", 20, kind="fine")

        async def away() -> bool:
            return await daemon.missing() == ["broker: not connected"]

        await eventually(away, 60)
        await eventually(lambda: all_accepted(system, len(orders) + len(meanwhile)), 30)
        await own_rabbitmq.start()
        await daemon.wait_ready(40)
        await system.reaches({order.id: "synced" for order in [*orders, *meanwhile]}, 40)
        await system.check(consumer)

    async def test_away_at_start(
        self, system: System, consumer: Consumer, own_rabbitmq: PrivateRabbitMQ
    ) -> None:
        system.connect("auto", auto_accept=True)
        await system.fill_catalogue(100)
        await own_rabbitmq.kill()
        daemon = await system.launch()
        orders = system.place("auto", 10, kind="fine")
        await eventually(lambda: all_accepted(system, len(orders)), 30)
        assert await daemon.missing() == ["broker: not connected"]
        assert (await daemon.get("/healthz"))[0] == 200
        await system.reaches({order.id: "accepted" for order in orders})

        async def waiting_events_shown() -> bool:
            return await daemon.metric("outbox_pending") >= 2 * len(orders)

        await eventually(waiting_events_shown, 90)
        await own_rabbitmq.start()
        for order in orders:
            await consumer.has(order.id, *ACCEPTED, seconds=40)
        assert await daemon.missing() == []
        await system.check(consumer)


async def unready(system: System) -> bool:
    return bool(await system.daemons[0].missing())


async def all_accepted(system: System, count: int) -> bool:
    return len(acceptances(system.simulator)) == count


class TestDatabase:
    """A server of the test's own, stopped and started again."""

    @pytest.fixture
    async def server(self, tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
        server = EmbeddedPostgres(tmp_path / "postgres")
        yield server
        await server.stop()

    @pytest.fixture
    async def database_url(self, server: EmbeddedPostgres) -> str:
        return await server.start()

    async def test_restarted_in_the_middle(
        self, system: System, consumer: Consumer, server: EmbeddedPostgres
    ) -> None:
        system.connect("auto", auto_accept=True)
        system.connect("manual")
        daemon = await system.run()
        await system.fill_catalogue(100_000)
        system.misbehave(Latency(kind="latency", seconds=0.1, jitter=0.2))
        orders = system.place("auto", 100, kind="fine")

        async def database_away() -> bool:
            missing = await daemon.missing()
            return [one.split(" (")[0] for one in missing] == [DATABASE_AWAY]

        for restart in range(2):
            reached = 20 * (restart + 1)

            async def under_way(reached: int = reached) -> bool:
                return len(acceptances(system.simulator)) > reached

            await eventually(under_way, 30)
            await server.stop()
            await eventually(database_away, 60)
            assert (await daemon.get("/healthz"))[0] == 200
            assert await server.start() == system.dsn
            await daemon.wait_ready()
        waiting = system.place("manual", 3)
        wanted = {order.id: "synced" for order in orders}
        await system.reaches(wanted | {order.id: "pending_manual" for order in waiting}, 60)
        await system.check(consumer)
        assert await daemon.terminate() == 0

    async def test_away_at_start(
        self, system: System, consumer: Consumer, server: EmbeddedPostgres
    ) -> None:
        await server.stop()
        system.connect("manual")
        (order,) = system.place("manual")
        daemon = await system.launch()
        await eventually(lambda: unready(system), 20)
        assert (await daemon.get("/healthz"))[0] == 200
        await eventually(lambda: complained(system), 20)
        (why,) = await daemon.missing()
        assert why.startswith("database: the database is not available (")
        assert await server.start() == system.dsn
        await daemon.wait_ready()
        await consumer.has(order.id, *HELD)
        await system.check(consumer)

    async def test_stopped_while_the_database_is_awaited(
        self, system: System, server: EmbeddedPostgres
    ) -> None:
        await server.stop()
        daemon = await system.launch()
        await eventually(lambda: complained(system), 20)
        assert await daemon.terminate() == 0


async def complained(system: System) -> bool:
    return bool(system.daemons[0].logs("database not available"))
