"""`spartoo-sync events`: the log shown, followed, and published again."""

import asyncio
import json
import signal
import sys
from functools import partial
from pathlib import Path

import aio_pika
import pytest

from adapters.postgres import events
from adapters.postgres.database import Database
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.topology import ORDERS, declare
from daemon.cli.events import Wanted, _stream
from daemon.cli.replay import Range, _windows
from statemachine.changes import Event, EventType
from statemachine.model import CatalogId, ConnectionId
from tests.fixtures.cli import Cli
from tests.fixtures.daemon_process import environment
from tests.fixtures.postgres import may_stand_idle
from tests.unit.builders import NOW

FR = ConnectionId("shoes-fr")


def event(subject: str, kind: EventType = EventType.ORDER_CHANGED) -> Event:
    data = {"order": {}, "changes": [{"field": "total", "old": "1", "new": "2"}]}
    return Event(kind, f"/spartoo/{FR}", subject, NOW, data, FR, subject)


STOCK = Event(
    EventType.STOCK_CHANGED,
    "/spartoo/catalog/default",
    "98_38",
    NOW,
    {"delta": -1, "available": 4, "reason": "order_accepted"},
    catalog=CatalogId("default"),
)


async def log(db: Database, *logged: Event) -> None:
    async with db.transaction() as tx:
        await events.append(tx, logged)


@pytest.fixture
async def three(db: Database) -> None:
    """Positions 1 to 3: two of order A, one of the catalogue, one of order B behind them."""
    await log(db, event("A"), STOCK, event("A"), event("B", EventType.ORDER_QUARANTINED))


async def tailed(cli: Cli, *arguments: object) -> list[tuple[str, int]]:
    ran = await cli("events", "tail", "--json", *arguments)
    assert ran.status == 0
    found = map(json.loads, ran.out.splitlines())
    return [(found["subject"], found["sequence"]) for found in found]


async def test_tail_shows_the_newest_and_filters(cli: Cli, three: None) -> None:
    assert await tailed(cli) == [("A", 1), ("98_38", 1), ("A", 2), ("B", 1)]
    assert await tailed(cli, "--last", 2) == [("A", 2), ("B", 1)]
    assert await tailed(cli, "--after", 3) == [("B", 1)]
    assert await tailed(cli, "--order", "A") == [("A", 1), ("A", 2)]
    assert await tailed(cli, "--order", "A", "--last", 1) == [("A", 2)]
    assert await tailed(cli, "--type", "stock.changed") == [("98_38", 1)]
    assert await tailed(cli, "--connection", FR, "--after", 1) == [("A", 2), ("B", 1)]
    assert await tailed(cli, "--connection", "nobody") == []
    told = (await cli("events", "tail")).out.splitlines()
    assert len(told) == 4
    assert "order.changed" in told[0]
    assert "changed: total" in told[0]
    assert "-1, 4 available (order_accepted)" in told[1]


async def test_tail_with_json_prints_the_cloud_event_itself(cli: Cli, three: None) -> None:
    ran = await cli("events", "tail", "--order", "B", "--json")
    found = json.loads(ran.out)
    assert found["specversion"] == "1.0"
    assert found["type"] == "spartoo.order.quarantined.v1"
    assert found["source"] == f"/spartoo/{FR}"


async def test_the_newest_are_found_far_behind_others(cli: Cli, db: Database) -> None:
    await log(db, event("A"))
    await log(db, *(event("B") for _ in range(300)))
    async with db.transaction() as tx:
        assert await events.advance(tx, 301, None)
    assert await tailed(cli, "--type", "order.changed", "--last", 1) == [("B", 300)]
    assert (await tailed(cli, "--last", 301))[0] == ("A", 1)


async def test_follow_goes_on_until_ctrl_c(db: Database, database_url: str, tmp_path: Path) -> None:
    await log(db, event("A"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon.cli", "events", "tail", "--follow", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(tmp_path)
        | {"SPARTOO_SYNC_DATABASE_URL": database_url, "SPARTOO_SYNC_STATE_DIR": str(tmp_path)},
        # the tests may run in the background of a shell, where Ctrl-C is ignored
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert json.loads(await process.stdout.readline())["subject"] == "A"
            for subject in "BCD":
                await log(db, event(subject))
                assert json.loads(await process.stdout.readline())["subject"] == subject
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, err) == (130, b"")


async def test_follow_shows_what_committed_late(db: Database, cli: Cli) -> None:
    """A transaction that took its position early and commits late is not passed over."""
    stream = _stream(db, Wanted(None, None, None), 0, follow=True)
    late = db.transaction()
    tx = await late.__aenter__()
    await may_stand_idle(tx)
    await events.append(tx, [event("late")])
    await log(db, event("early"))
    async with asyncio.timeout(20):
        assert (await anext(stream)).subject == "early"
        await late.__aexit__(None, None, None)
        assert (await anext(stream)).subject == "late"
    await stream.aclose()  # type: ignore[attr-defined] # an async generator


@pytest.fixture
async def orders_queue(broker: Broker) -> aio_pika.abc.AbstractQueue:
    await declare(broker)
    return await (await broker.channel()).get_queue(ORDERS)


async def received(queue: aio_pika.abc.AbstractQueue) -> list[tuple[str, int]]:
    found = []
    while message := await queue.get(fail=False):
        await message.ack()
        body = json.loads(message.body)
        assert message.message_id == body["id"]
        found.append((body["subject"], body["sequence"]))
    return found


async def test_replay_publishes_the_same_events_again(
    cli: Cli,
    three: None,
    orders_queue: aio_pika.abc.AbstractQueue,
    amqp_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPARTOO_SYNC_AMQP_URL", amqp_url)
    ran = await cli("events", "replay", "--after", 0, "--yes", "--json")
    assert (ran.status, ran.json["published"], ran.json["last_position"]) == (0, 4, 4)
    assert await received(orders_queue) == [("A", 1), ("98_38", 1), ("A", 2), ("B", 1)]
    await cli("events", "replay", "--after", 1, "--to", 3, "--order", "A", "--yes")
    assert await received(orders_queue) == [("A", 2)]
    asked = await cli("events", "replay", "--after", 2, stdin="y\n")
    assert asked.status == 0
    assert "events after position 2 to the end of the log" in asked.err
    assert "2 events published again" in asked.err
    assert await received(orders_queue) == [("A", 2), ("B", 1)]


async def test_a_window_never_holds_two_events_of_one_subject(db: Database) -> None:
    """The one after a refused event of its subject is not sent."""
    await log(db, *(event(f"{number % 40}") for number in range(250)), *[event("last")] * 2)
    chosen = Range(after=0, to=251, connection=None, order=None)
    windows = [[e.position for e in window] async for window in _windows(db, chosen)]
    assert [position for window in windows for position in window] == list(range(1, 252))
    assert max(map(len, windows)) == 40
    many = Range(after=0, to=None, connection=None, order="last")
    assert [len(window) async for window in _windows(db, many)] == [1, 1]


async def test_replay_into_one_queue_reaches_nobody_else(
    cli: Cli,
    three: None,
    orders_queue: aio_pika.abc.AbstractQueue,
    broker: Broker,
    amqp_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPARTOO_SYNC_AMQP_URL", amqp_url)
    queue = await (await broker.channel()).declare_queue("lost-and-found", durable=True)
    ran = await cli("events", "replay", "--after", 3, "--queue", queue.name, "--yes")
    assert ran.status == 0
    assert await received(queue) == [("B", 1)]
    assert await received(orders_queue) == []
    nowhere = await cli("events", "replay", "--after", 0, "--queue", "none", "--yes", "--json")
    assert (nowhere.status, nowhere.error["code"]) == (1, "not_published")
    assert "--after 0" in nowhere.error["message"]


async def test_replay_asks_first_and_needs_a_broker(
    cli: Cli, three: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = await cli("events", "replay", "--after", 0, "--yes", "--json")
    assert (none.status, none.error["code"]) == (1, "no_broker")
    monkeypatch.setenv("SPARTOO_SYNC_AMQP_URL", "amqp://u:hunter2@127.0.0.1:1/")
    for answer in ("n\n", ""):
        declined = await cli("events", "replay", "--after", 0, stdin=answer)
        assert declined.status == 1
        assert "nothing was done" in declined.err
        assert "hunter2" not in declined.err
    away = await cli("events", "replay", "--after", 0, "--yes", "--json")
    assert (away.status, away.error["code"]) == (1, "broker_unavailable")
    assert "hunter2" not in away.err
