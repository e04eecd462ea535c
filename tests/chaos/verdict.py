"""What must hold once the faults are over, and the history of what it does not hold for."""

import json
import re
from collections import Counter
from typing import Any

import aio_pika
import asyncpg

from adapters.rabbitmq.topology import COMMANDS, DEAD_COMMANDS, UNROUTED
from adapters.spartoo.simulator.ledger import Call
from tests.chaos.clerk import Case, Clerk
from tests.fixtures.checks import CHANGE_ORDER
from tests.fixtures.koongo import Consumer
from tests.fixtures.model_checks import Hand, Hands, check_calls
from tests.fixtures.model_database import StoredWorld
from tests.fixtures.system import System

STOCK_ONLY = "other"
PUSHING = ("auto",)
_SUBJECTS_SHOWN = 3
_SUBJECT = re.compile(r"\b[0-9A-F]{16}\b")
_HISTORY = (
    "select state, spartoo_status, problem, published_at from orders where order_id = $1",
    "select * from actions where order_id = $1 order by id",
    "select from_state, to_state, trigger, at from order_history where order_id = $1 order by id",
    "select position, type, sequence, time from events where subject = $1 order by position",
)
_STOCK = "select id, stock, as_of from products where catalog = 'default'"


async def check_all(system: System, consumer: Consumer, clerk: Clerk) -> None:
    """Marketplace, database and every message agree, and every order met its fate."""
    await system.check(consumer)
    acted = [
        Hand(case.order.id, case.fate.hand, 0) for case in clerk.cases.values() if case.fate.hand
    ]
    check_calls(system.simulator, Hands(acted), STOCK_ONLY)
    _check_fates(system, clerk)
    _check_replies(clerk)
    await _check_nothing_aside(str(system.amqp_url))
    connection = await asyncpg.connect(system.dsn)
    try:
        await StoredWorld(connection, system.simulator, STOCK_ONLY, PUSHING).check()
        await _check_stock(connection, clerk)
    finally:
        await connection.close()


def _check_fates(system: System, clerk: Clerk) -> None:
    """Nothing was carried out twice, against a command, or not at all."""
    changes: dict[str, list[Call]] = {}
    for call in system.simulator.ledger.after(0):
        if call.service == CHANGE_ORDER and call.changed:
            changes.setdefault(str(call.order_id), []).append(call)
    for order_id, case in clerk.cases.items():
        done = tuple(call.after for call in changes.get(order_id, []))
        assert done == case.fate.path, f"{order_id}: {done} instead of {case.fate}"
        assert case.order.status is case.fate.end, f"{order_id}: {case.order.status}, {case.fate}"
        if "order.ship" in {command for command, _ in case.fate.commands}:
            assert case.order.tracking_number == f"T{order_id}"


def _check_replies(clerk: Clerk) -> None:
    """Each command was answered, carried out, and answered the same when it came again."""
    for command_id, command in clerk.commands.items():
        replies = clerk.replies[command_id]
        assert len(set(replies)) == 1, f"{command}: {replies}"
        told = json.loads(replies[0])
        assert told["status"] in {"done", "queued"}, f"{command}: {told}"


async def _check_nothing_aside(url: str) -> None:
    """Every command could be read and every event had its queue."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for name in (DEAD_COMMANDS, UNROUTED, COMMANDS):
            queue = await channel.declare_queue(name, passive=True)
            assert queue.declaration_result.message_count == 0, name


async def _check_stock(connection: "asyncpg.Connection[Any]", clerk: Clerk) -> None:
    """The last number the store told is the one that is kept."""
    for row in await connection.fetch(_STOCK):
        if row["id"] in clerk.stock:
            as_of, units = clerk.stock[row["id"]]
            assert (row["as_of"].isoformat(), row["stock"]) == (as_of, units), row


async def histories(system: System, consumer: Consumer, clerk: Clerk, text: str) -> str:
    """All that is known of the first orders the text names."""
    subjects = list(dict.fromkeys(_SUBJECT.findall(text)))[:_SUBJECTS_SHOWN]
    return "\n".join([await _history(system, consumer, clerk, one) for one in subjects])


async def _history(system: System, consumer: Consumer, clerk: Clerk, subject: str) -> str:
    lines = [f"--- {subject}: {_summary(clerk.cases.get(subject))}"]
    lines += [
        f"call {c.at:%H:%M:%S.%f} {c.service} {dict(c.fields)} → {c.code},"
        f" {c.before!r} → {c.after!r} {c.faults}"
        for c in system.simulator.ledger.after(0)
        if c.order_id == subject
    ]
    for command_id, command in clerk.commands.items():
        if command.get("order_id") == subject:
            answers = [json.loads(r).get("status") for r in clerk.replies[command_id]]
            lines.append(f"command {command} sent {clerk.published[command_id]} times: {answers}")
    for question in _HISTORY:
        lines += [str(dict(row)) for row in await system.rows(question, subject)]
    arrived = Counter(
        (m.body["sequence"], m.type) for m in consumer.messages if m.body["subject"] == subject
    )
    return "\n".join([*lines, f"consumer: {dict(arrived)}"])


def _summary(case: Case | None) -> str:
    return "not the clerk's" if case is None else f"{case.order.account} {case.fate}"
