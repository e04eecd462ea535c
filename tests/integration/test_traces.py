"""Orders that share a transaction keep their own traces; the transaction has one too."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adapters.postgres.database import Database
from adapters.trace import traceparent
from daemon import tracing
from daemon.command_messages import read_command
from daemon.commands import CommandDesk
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.relay import LogOnly, Relay
from daemon.settings import Plan
from daemon.steps import take_steps
from statemachine.facts import Fact, Seen
from statemachine.model import OrderId
from tests.fixtures.postgres import add_connection, eventually, may_stand_idle, waits_for_a_lock
from tests.fixtures.tasks import running
from tests.integration.test_unforeseen_failures import now
from tests.unit.builders import NOW, marketplace_order, settings

SHOES = settings()
BAGS = settings(id="bags-fr")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is traced from now on."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("tests"))
    yield exporter
    provider.shutdown()


async def see(db: Database, *ids: str, status: int = 11, on: str = "shoes-fr") -> None:
    facts: dict[OrderId, Fact] = {
        OrderId(i): Seen(marketplace_order(order_id=OrderId(i), status=status), NOW) for i in ids
    }
    with tracing.span("look"):
        async with db.transaction() as tx:
            await take_steps(tx, settings(id=on), facts, NOW)


async def stored(db: Database, query: str) -> dict[str, str]:
    """Order id → trace id."""
    async with db.connection() as conn:
        return {row[0]: row[1].split("-")[1] for row in await conn.fetch(query)}


def named(spans: InMemorySpanExporter, name: str) -> list[tuple[str, set[str]]]:
    """The trace of each span of that name, and the traces it is linked to."""
    return [
        (f"{span.context.trace_id:032x}", {f"{link.context.trace_id:032x}" for link in span.links})
        for span in spans.get_finished_spans()
        if span.name == name and span.context is not None
    ]


async def test_commands_of_a_burst_go_on_in_their_own_traces(
    db: Database, spans: InMemorySpanExporter
) -> None:
    await add_connection(db, SHOES)
    await see(db, "1", "2", "3")
    desk, wanted = CommandDesk(db, Plan(), Metrics(), now), {}

    async def accept(order_id: str) -> None:
        body = f'{{"id": "{order_id}", "command": "order.accept", "connection": "shoes-fr",'
        command = read_command(f'{body} "order_id": "{order_id}"}}'.encode(), None)
        with tracing.span("command"):
            wanted[order_id] = str(traceparent.get()).split("-")[1]
            await desk.carry_out(command)

    await asyncio.gather(*map(accept, "123"))
    assert len(set(wanted.values())) == 3
    assert await stored(db, "select order_id, traceparent from actions") == wanted
    ((trace, links),) = named(spans, "obey")
    assert links == set(wanted.values())
    assert trace not in links
    await accept("1")
    assert named(spans, "obey")[1:] == [(wanted["1"], set())], "alone it is done in its own trace"


async def test_orders_that_are_synced_together_go_on_in_the_traces_of_their_acceptance(
    db: Database, spans: InMemorySpanExporter
) -> None:
    await add_connection(db, SHOES)
    for order_id in "123":
        await see(db, order_id, status=2)
    of_type = "select order_id, traceparent from events where type = "
    wanted = await stored(db, of_type + "'order.accepted'")
    assert len(set(wanted.values())) == 3

    async def synced() -> bool:
        return await stored(db, of_type + "'order.synced'") == wanted

    holdings = Holdings(db, Metrics())
    async with running(Relay(db, LogOnly(), holdings, Metrics(), now).run, holdings):
        await eventually(synced)
    ((trace, links),) = named(spans, "sync")
    assert links == set(wanted.values())
    assert trace not in links


async def test_orders_of_several_connections_are_locked_in_one_order(db: Database) -> None:
    """As everybody locks them: by order id first. Else two who hold some wait for each other."""
    await add_connection(db, SHOES)
    await add_connection(db, BAGS)
    await see(db, "1", status=2)
    await see(db, "2", status=2, on="bags-fr")
    holdings = Holdings(db, Metrics())
    lock = "select from orders where order_id = $1 for update nowait"

    async def waits() -> bool:
        return await waits_for_a_lock(db)

    async def synced() -> bool:
        async with db.connection() as conn:
            query = "select count(*) from orders where state = 'synced'"
            return bool(await conn.fetchval(query) == 2)

    async with running(Relay(db, LogOnly(), holdings, Metrics(), now).run, holdings):
        async with db.transaction() as tx:
            await may_stand_idle(tx)
            await tx.execute(lock, "1")
            await eventually(waits)
            await tx.execute(lock, "2")
        await eventually(synced)
