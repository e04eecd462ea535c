"""The roles that deploy/ describes are enough for the daemon, and no more than enough."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused
from structlog.testing import capture_logs

from adapters.postgres import migrate, processes
from adapters.postgres.database import Database
from adapters.postgres.errors import SchemaOutdated
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.node import PrivateRabbitMQ
from adapters.rabbitmq.topology import declare
from adapters.spartoo.simulator import Simulator
from daemon.wiring import open_database
from tests.fixtures.koongo import asking
from tests.fixtures.postgres import eventually, private_database
from tests.fixtures.system import System

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLES = ("spartoo_owner", "spartoo_sync")
ENDED = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def as_role(dsn: str, role: str) -> str:
    split = urlsplit(dsn)
    host = split.netloc.rpartition("@")[2]
    return urlunsplit(split._replace(netloc=f"{role}@{host}"))


@pytest.fixture
async def dsn(postgres_server: str) -> AsyncIterator[str]:
    """An empty database for which roles.sql was run, twice."""
    async with private_database(postgres_server, "template1") as dsn:
        superuser = await asyncpg.connect(dsn)
        try:
            for _ in range(2):
                await superuser.execute((DEPLOY / "postgres" / "roles.sql").read_text())
            yield dsn
            for role in ROLES:
                await superuser.execute(f"drop owned by {role} cascade; drop role {role}")
        finally:
            await superuser.close()


async def test_the_daemons_role_waits_for_the_owner_to_make_the_schema(dsn: str) -> None:
    daemon, owner = as_role(dsn, "spartoo_sync"), as_role(dsn, "spartoo_owner")
    with pytest.raises(SchemaOutdated, match=r"not there yet.*may not change it.*schema's owner"):
        await migrate.upgrade(daemon)
    reasons: list[str] = []
    with capture_logs() as logs:
        opening = asyncio.create_task(open_database(daemon, reasons.append))

        async def told() -> bool:
            return any("may not change it" in line.get("error", "") for line in logs)

        await eventually(told)
        await migrate.upgrade(owner)
        database = await opening
    await database.close()
    assert "db upgrade" in reasons[0]


async def test_the_daemons_role_changes_rows_and_nothing_else(dsn: str) -> None:
    await migrate.upgrade(as_role(dsn, "spartoo_owner"))
    daemon = await asyncpg.connect(as_role(dsn, "spartoo_sync"))
    try:
        for statement in (
            "create table mine (id int)",
            "alter table orders add column note text",
            "drop table orders",
            "truncate orders",
            "create schema mine",
            "create temporary table mine (id int)",
            "create role mine",
            "copy orders to program 'true'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await daemon.execute(statement)
    finally:
        await daemon.close()


async def test_the_daemons_role_ends_the_sessions_of_its_frozen_processes_alone(dsn: str) -> None:
    await migrate.upgrade(as_role(dsn, "spartoo_owner"))
    frozen = await Database.open(as_role(dsn, "spartoo_sync"))
    alive = await Database.open(as_role(dsn, "spartoo_sync"))
    name = f"spartoo-sync {frozen.holder}"
    other_role = await asyncpg.connect(dsn, server_settings={"application_name": name})
    try:
        async with frozen.connection() as conn, frozen.connection() as second:
            await processes.heartbeat(conn, frozen.holder, timedelta(0))
            async with alive.connection() as mine:
                ended = await processes.end_silent(mine, alive.holder)
            assert ended == {frozen.holder: 2}
            for lost in (conn, second):
                with pytest.raises(ENDED):
                    await lost.execute("select 1")
        assert await other_role.fetchval("select 1") == 1
    finally:
        await other_role.close()
        await frozen.close()
        await alive.close()


@pytest.fixture
async def limited_amqp_url(
    rabbitmq_server: PrivateRabbitMQ | str, amqp_url: str
) -> AsyncIterator[str]:
    """The test's virtual host as a user with the permissions of definitions.json."""
    if isinstance(rabbitmq_server, str):
        pytest.skip("users cannot be made over AMQP")
    vhost = urlsplit(amqp_url).path[1:]
    given = json.loads((DEPLOY / "rabbitmq" / "definitions.json").read_text())
    permissions = [{**one, "vhost": vhost} for one in given["permissions"]]
    users = [
        {"name": one["user"], "password": "limited", "tags": ""} for one in given["permissions"]
    ]
    definitions = json.dumps({"users": users, "permissions": permissions})
    quoted = definitions.replace("\\", "\\\\").replace('"', '\\"')
    await rabbitmq_server.evaluate(f'rabbit_definitions:import_raw(<<"{quoted}">>).')
    yield amqp_url.replace("guest:guest", "spartoo-sync:limited")
    for name in (user["name"] for user in users):
        delete = f'rabbit_auth_backend_internal:delete_user(<<"{name}">>, <<"guest">>).'
        await rabbitmq_server.evaluate(delete)


async def test_the_brokers_user_declares_what_is_ours_and_nothing_else(
    limited_amqp_url: str,
) -> None:
    broker = Broker(limited_amqp_url)
    await broker.connect()
    try:
        assert await declare(broker) == []
        attempts: tuple[Callable[[AbstractChannel], Awaitable[object]], ...] = (
            lambda channel: channel.declare_queue("koongo.invoices"),
            lambda channel: channel.declare_exchange("spartoo.event"),
            lambda channel: channel.queue_delete("koongo.invoices"),
        )
        for attempt in attempts:
            with pytest.raises(ChannelAccessRefused):
                await attempt(await broker.channel())
    finally:
        await broker.close()


async def test_a_whole_order_and_a_command_with_least_privilege(
    dsn: str, amqp_url: str, limited_amqp_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    owner = as_role(dsn, "spartoo_owner")
    await migrate.upgrade(owner)
    system = System(simulator, as_role(dsn, "spartoo_sync"), limited_amqp_url, tmp_path)
    try:
        system.connect("auto", auto_accept=True, push_stock=True)
        system.connect("manual")
        await system.fill_catalogue(100)
        (fine,) = system.place("auto", kind="fine")
        (held,) = system.place("manual", kind="fine")
        daemon = await system.run()
        await system.reaches({fine.id: "synced", held.id: "pending_manual"})
        async with asking(amqp_url) as asker:
            asked = {"command": "order.accept", "connection": "manual", "order_id": held.id}
            assert (await asker.ask(**asked))["status"] == "queued"
        await system.reaches({held.id: "synced"})
        await daemon.terminate()
        assert not [r for r in daemon.logs() if r["level"] in {"warning", "error"}]
    finally:
        await system.close()
