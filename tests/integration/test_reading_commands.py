"""Commands are carried out by one reader at a time; what it has not begun, the next one gets."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from adapters.ports import CommandMessage
from adapters.postgres.database import Database
from daemon.command_reader import CommandReader
from daemon.commands import CommandDesk
from daemon.holdings import Holdings
from daemon.metrics import Metrics
from daemon.settings import Plan
from tests.fixtures.postgres import add_connection, eventually, may_stand_idle, waits_for_a_lock
from tests.fixtures.tasks import running
from tests.unit.builders import settings


def now() -> datetime:
    return datetime.now(UTC)


class Message:
    """A CommandMessage that notes what became of it."""

    message_id, wants_reply = None, True

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.outcomes: list[str] = []

    async def answer(self, reply: bytes) -> None:
        self.outcomes.append("answered")

    async def dead_letter(self, error: str, reply: bytes | None = None) -> None:
        self.outcomes.append(error)

    async def release(self) -> None:
        self.outcomes.append("released")


class Source:
    """A CommandSource with these messages and no more."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages

    async def commands(self) -> AsyncGenerator[CommandMessage]:
        for message in self.messages:
            yield message
        await asyncio.Event().wait()


async def test_a_fetch_that_waits_for_spartoo_goes_back_to_the_queue_at_a_stop(
    db: Database,
) -> None:
    await add_connection(db, settings())
    metrics = Metrics()
    holdings = Holdings(db, metrics)
    fetch = Message(b'{"id":"1","command":"order.fetch","connection":"shoes-fr","order_id":"A"}')
    desk = CommandDesk(db, Plan(), metrics, now)
    reader = CommandReader(Source(fetch), desk, holdings, metrics)

    async def requested() -> bool:
        async with db.connection() as conn:
            return bool(await conn.fetchval("select count(*) from actions"))

    async with running(reader.run, holdings) as stop:
        await eventually(requested)
        stop.set()
    assert fetch.outcomes == ["released"]


async def test_a_reader_that_lost_its_role_gives_back_what_it_has_not_begun(db: Database) -> None:
    await add_connection(db, settings())
    metrics = Metrics()
    holdings = Holdings(db, metrics)
    body = b'{"id":"%d","command":"stock.set","product_id":"A","stock":1}'
    first, *others = [Message(body % number) for number in range(3)]
    desk = CommandDesk(db, Plan(), metrics, now)
    reader = CommandReader(Source(first, *others), desk, holdings, metrics)

    async def lost() -> bool:
        return holdings.epoch("commands") is None

    async def ended() -> bool:
        return all(message.outcomes for message in (first, *others))

    async with db.connection() as conn:
        locking = conn.transaction()
        await locking.start()
        await may_stand_idle(conn)
        await conn.execute("lock table products")
        async with running(reader.run, holdings):
            await eventually(lambda: waits_for_a_lock(db))
            async with db.connection() as other:
                await other.execute(
                    "update leases set holder = 'another', expires_at = now() + interval '1 hour'"
                )
            await eventually(lost)
            await locking.rollback()
            await eventually(ended)
    assert first.outcomes == ["answered"]
    assert [message.outcomes for message in others] == [["released"], ["released"]]
