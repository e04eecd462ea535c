"""The broker: reached, not blocked, and its topology as the daemon declares it."""

from collections.abc import AsyncIterator

from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.topology import inspect
from daemon.doctor.finding import Finding, failed, ok, warning
from daemon.settings import Settings

BROKER, TOPOLOGY = "broker", "topology"


async def check_broker(settings: Settings) -> AsyncIterator[Finding]:
    """Whether it is reached, takes messages and is set up. Raises BrokerUnavailable."""
    if settings.amqp_url is None:
        remedy = "set SPARTOO_SYNC_AMQP_URL where a consumer waits for events"
        yield warning(BROKER, "none set: events stay in the event log", remedy)
        return
    broker = Broker(settings.amqp_url.get_secret_value())
    await broker.connect()
    try:
        yield ok(BROKER, f"reached at {broker.address}")
        if await broker.blocked():
            remedy = "free memory or disk of RabbitMQ (rabbitmqctl status names the alarm)"
            yield failed(BROKER, "it refuses what is published", remedy)
        inspected = await inspect(broker)
    finally:
        await broker.close()
    for found in inspected.differences:
        yield failed(TOPOLOGY, f"{found.thing} differs: {found.message}", found.remedy)
    if inspected.missing:
        missing = ", ".join(inspected.missing)
        remedy = "start the daemon: it declares what is missing"
        yield warning(TOPOLOGY, f"not there yet: {missing}", remedy)
    elif not inspected.differences:
        yield ok(TOPOLOGY, "exchanges and queues are as declared")
