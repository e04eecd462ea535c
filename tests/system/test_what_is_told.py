"""Logs, metrics, errors and traces: what happened with its ids, nothing of a customer, no key."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from adapters.spartoo.simulator.fault_kinds import AnsweredCode, HttpError, UnreadableOrder
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from tests.fixtures.cli import Cli
from tests.fixtures.koongo import Consumer, asking
from tests.fixtures.postgres import eventually
from tests.fixtures.system import KEYS, System
from tests.system.test_personal_data import NEEDLES, PERSON

TOKEN = "tok3n-nobody-may-see"


@pytest.fixture
def order(system: System) -> SimulatedOrder:
    """An order of a marked person, for which everything is in stock."""
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    (order,) = system.place("auto", kind="fine", relay=False)
    system.simulator.world.amend(order, billing=PERSON, delivery=PERSON)
    return order


async def test_a_whole_path_tells_ids_and_no_person_and_no_key(
    system: System, consumer: Consumer, order: SimulatedOrder, cli: Cli
) -> None:
    await system.fill_catalogue(100)
    await system.run(log_level="debug", http_token=TOKEN)
    await system.reaches({order.id: "synced"})
    (waiting,) = system.place("manual", kind="fine", relay=False)
    system.simulator.world.amend(waiting, billing=PERSON, delivery=PERSON)
    await system.reaches({waiting.id: "pending_manual"})
    service = "xml_maj_orders"
    system.misbehave(HttpError(kind="http_error", status=503, service=service, count=1))
    system.misbehave(AnsweredCode(kind="code", code=-7, service=service, count=1))
    system.misbehave(UnreadableOrder(kind="unreadable_order", count=1))
    system.connect("other", api_key="F" * 16)
    async with asking(system.amqp_url or "") as asker:
        about = {"connection": "manual", "order_id": waiting.id}
        await asker.ask("order.accept", **about, reason=f"{PERSON.first_name} rang")
        await asker.ask("order.ship", **about, tracking_number="")
        await asker.publish(json.dumps({"command": "order.ship", "who": PERSON.email}).encode())
    (bad,) = system.place("auto", kind="fine", relay=False)
    system.simulator.world.amend(bad, billing=PERSON, delivery=PERSON)
    await system.reaches({bad.id: "synced"})
    system.simulator.world.set_status(order, Status.SHIPPED, "8R1")  # the fresh look overlaps
    await system.reaches({order.id: "shipped"})
    await system.published()
    (daemon,) = system.daemons
    _, metrics = await daemon.get("/metrics")
    _, ready = await daemon.get("/readyz")
    await daemon.terminate()
    shown = [await cli("orders", "accept", order.id), await cli("orders", "list", "--attention")]
    errors = "".join(ran.err for ran in shown)
    for text in (daemon.output(), metrics, ready, errors):
        lower = text.lower()
        assert not [needle for needle in NEEDLES if needle in lower]
        assert not [key for key in (*KEYS.values(), "F" * 16, TOKEN) if key.lower() in lower]

    assert daemon.logged("order moved", connection="auto", order_id=order.id, by="marketplace")
    assert daemon.logged("action carried out", connection="auto", order_id=order.id)
    published = [line for line in daemon.logs("event published") if line["order_id"] == order.id]
    events = [m for m in consumer.first_arrivals() if m.body["subject"] == order.id]
    assert {line["event_id"] for line in published} >= {event.id for event in events}
    assert daemon.logged("command carried out", connection="manual", order_id=waiting.id)


class Collector:
    """Takes traces as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response(content_type="application/x-protobuf")

    def of_trace(self, trace_id: str) -> set[str]:
        return {span.name for span in self.spans if span.trace_id.hex() == trace_id}

    def published(self) -> set[str]:
        """The ids of the events whose publishing was told."""
        spans = [span for span in self.spans if span.name == "publish"]
        attributes = [attribute for span in spans for attribute in span.attributes]
        return {each.value.string_value for each in attributes if each.key == "event_id"}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


async def test_one_trace_from_the_look_to_the_brokers_confirm(
    system: System, consumer: Consumer, order: SimulatedOrder
) -> None:
    await system.fill_catalogue(100)
    async with collecting() as collector:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        daemon = await system.run(environ=environ)
        await consumer.has(order.id, "order.new", "order.accepted", "order.synced")
        new, accepted, synced = (m for m in consumer.messages if m.body["subject"] == order.id)
        trace_id = new.headers["traceparent"].split("-")[1]
        assert accepted.headers["traceparent"].split("-")[1] == trace_id
        assert synced.headers["traceparent"].split("-")[1] == trace_id
        wanted = {"look", "xml_export_orders", "action", "xml_maj_orders", "publish"}

        async def told() -> bool:
            return (
                collector.of_trace(trace_id) >= wanted
                and {new.id, accepted.id} <= collector.published()
            )

        await eventually(told)
        moved = [line for line in daemon.logs("order moved") if line["order_id"] == order.id]
        assert {line["trace_id"] for line in moved[:2]} == {trace_id}
        everything = str(collector.spans).lower()
        assert not [needle for needle in NEEDLES if needle in everything]
        assert not [key for key in KEYS.values() if key.lower() in everything]


async def test_a_collector_that_is_away_does_not_keep_the_daemon_from_stopping(
    system: System, order: SimulatedOrder
) -> None:
    await system.fill_catalogue(100)
    daemon = await system.run(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    await system.reaches({order.id: "synced"})
    assert await daemon.terminate() == 0


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported() -> None:
    program = (
        "import sys, daemon.cli.app, daemon.main, daemon.tracing as t\n"
        "with t.tracing({}), t.span('look'): t.note_span('call', 1.0)\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')]\n"
        "sys.modules['opentelemetry'] = None\n"
        "with t.tracing({'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://127.0.0.1:1'}): pass\n"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "not tracing: pip install 'spartoo-order-sync[otel]'" in ran.stdout + ran.stderr
