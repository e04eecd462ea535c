"""What must hold once the faults are over, and the history of what it does not hold for."""

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
import asyncpg

from adapters.rabbitmq.topology import COMMANDS, DEAD_COMMANDS, UNROUTED
from tests.chaos.clerk import Case, Clerk
from tests.chaos.fleet import Fleet
from tests.fixtures.checks import CHANGE_ORDER, CHANGE_RETURN, check_nothing_twice
from tests.fixtures.koongo import Consumer
from tests.fixtures.model_checks import Hand, Hands, check_calls
from tests.fixtures.model_database import StoredWorld
from tests.fixtures.system import System

STOCK_ONLY = "other"
PUSHING = ("auto",)
_SUBJECTS_SHOWN = 3
_ERROR_SHOWN = 2000
TWICE = "changes carried out twice"
AGAINST = "calls against an order's or return's state"
FORGOTTEN = "orders and returns that did not meet their fate"
STORED = "orders, returns, histories, reservations that disagree with Spartoo or a recount"
CONTENTS = "addresses and items that are not the customer's last word"
EVENTS = "events lost, out of sequence, repeated differently, or off the legal path"
REPLIES = "commands unanswered, refused, or answered differently"
ASIDE = "messages put aside"
STOCK = "stock numbers that are not the store's last"
DAEMONS = "daemons that ended by themselves or logged an error"
ZEROS = (TWICE, AGAINST, FORGOTTEN, STORED, CONTENTS, EVENTS, REPLIES, ASIDE, STOCK, DAEMONS)
_SUBJECT = re.compile(r"\b[0-9A-F]{16}\b")
_HISTORY = (
    "select state, spartoo_status, problem, published_at from orders where order_id = $1",
    "select * from actions where order_id = $1 order by id",
    "select from_state, to_state, trigger, at from order_history where order_id = $1 order by id",
    "select position, type, sequence, time from events where subject = $1 order by position",
)
_STOCK = "select id, stock, as_of from products where catalog = 'default'"


async def check_all(system: System, consumer: Consumer, clerk: Clerk, fleet: Fleet) -> None:
    """Every check; raises AssertionError with all that do not hold."""
    hands = Hands([Hand(c.subject.id, c.fate.hand, 0) for c in clerk.cases.values() if c.fate.hand])
    simulator = system.simulator
    connection = await asyncpg.connect(system.dsn)
    stored = StoredWorld(connection, simulator, STOCK_ONLY, PUSHING)
    try:
        held = {
            TWICE: lambda: check_nothing_twice(simulator),
            AGAINST: lambda: check_calls(simulator, hands, STOCK_ONLY),
            FORGOTTEN: lambda: _check_fates(system, clerk),
            STORED: stored.check,
            CONTENTS: lambda: _check_contents(connection, system),
            EVENTS: lambda: system.check(consumer),
            REPLIES: lambda: _check_replies(clerk),
            ASIDE: lambda: _check_nothing_aside(str(system.amqp_url)),
            STOCK: lambda: _check_stock(connection, clerk),
            DAEMONS: lambda: _check_daemons(fleet),
        }
        failed = [
            f"{name}: {error}" for name, check in held.items() if (error := await _error(check))
        ]
    finally:
        await connection.close()
    assert not failed, "\n".join(failed)


async def _error(check: Callable[[], Awaitable[None] | None]) -> str | None:
    """What does not hold, if anything."""
    try:
        checking = check()
        if checking is not None:
            await checking
    except (AssertionError, TimeoutError) as error:
        return str(error)[:_ERROR_SHOWN] or type(error).__name__
    return None


def _check_fates(system: System, clerk: Clerk) -> None:
    """Nothing was carried out twice, against a command, or not at all."""
    changes: dict[str, list[int]] = {}
    for call in system.simulator.ledger.after(0):
        if call.service in {CHANGE_ORDER, CHANGE_RETURN} and call.changed:
            changes.setdefault(str(call.order_id or call.return_id), []).append(call.after or 0)
    for subject, case in clerk.cases.items():
        done, fate = tuple(changes.get(subject, ())), case.fate
        assert done in fate.paths, f"{subject}: {done} instead of {fate}"
        end = fate.hand or (done or (case.initial,))[-1]
        assert case.subject.status == end, f"{subject}: {case.subject.status}, {fate}"
        if "order.ship" in {command for command, _ in fate.commands}:
            assert getattr(case.subject, "tracking_number", "") == f"T{subject}"


async def _check_contents(connection: "asyncpg.Connection[Any]", system: System) -> None:
    """Address and items are those the customer wanted last."""
    orders = system.simulator.world.orders
    for row in await connection.fetch("select order_id, facts from orders"):
        facts, order = json.loads(row["facts"]), orders[row["order_id"]]
        items = [(line["size_reference"], line["quantity"]) for line in facts["lines"]]
        assert items == [(line.size_reference, line.quantity) for line in order.lines], row
        assert facts["shipping_address"]["street"] == order.delivery.street, row


async def _check_daemons(fleet: Fleet) -> None:
    """None ended by itself or met an error that nobody foresaw."""
    fleet.listen()
    assert not fleet.complaints, sorted(fleet.complaints)[:3]


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
        if subject in {c.order_id, c.return_id}
    ]
    for command_id, command in clerk.commands.items():
        if subject in {command.get("order_id"), command.get("return_id")}:
            answers = [json.loads(r).get("status") for r in clerk.replies[command_id]]
            lines.append(f"command {command} sent {clerk.published[command_id]} times: {answers}")
    for question in _HISTORY:
        lines += [str(dict(row)) for row in await system.rows(question, subject)]
    arrived = Counter(
        (m.body["sequence"], m.type) for m in consumer.messages if m.body["subject"] == subject
    )
    return "\n".join([*lines, f"consumer: {dict(arrived)}"])


def _summary(case: Case | None) -> str:
    return "not the clerk's" if case is None else f"{case.subject.account} {case.fate}"
