"""Erasing customers, and letting go what is too old to be kept; the figures stay."""

import html
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import orjson
from pydantic import TypeAdapter

from adapters.postgres.codec import dump
from adapters.postgres.queries import load
from adapters.postgres.rows import references
from adapters.postgres.words import words_without_person
from statemachine.model import ConnectionId, MarketplaceOrder, OrderId
from statemachine.privacy import erased, without_person

if TYPE_CHECKING:
    from asyncpg import Record

    from adapters.postgres.database import Conn, Database, Tx

_SQL = load("privacy")
_FACTS = TypeAdapter(MarketplaceOrder)
_PIECE = 5000  # orders read at a time while looking for a person
_QUARANTINE_PIECE = 100
_ROWS = 1000  # deleted in one transaction
_FORGET = (
    "forget_history",
    "forget_actions",
    "forget_slips",
    "forget_labels",
    "forget_quarantine",
    "forget_comments",
)


class OrderKey(NamedTuple):
    """Which order."""

    order_id: OrderId
    connection: ConnectionId


class Unread(NamedTuple):
    """An order in quarantine."""

    key: OrderKey
    xml: str
    error: str
    first_seen_at: datetime


class Pruned(NamedTuple):
    """How many rows went, where the next piece begins, and the first row here that stays."""

    rows: int
    last: int
    kept: int | None = None


async def due(tx: "Tx", before: datetime, limit: int) -> list[OrderKey]:
    """Orders silent since `before` whose customers are to be erased; ours, others are left out."""
    return [OrderKey(*row) for row in await tx.fetch(_SQL["due"], before, limit)]


async def lock(tx: "Tx", keys: Sequence[OrderKey]) -> dict[OrderKey, str | None]:
    """The orders, ours until the transaction ends, and why each is still needed, if it is."""
    found = await tx.fetch(_SQL["lock"], *_columns(keys))
    return {OrderKey(row["order_id"], row["connection"]): row["needed"] for row in found}


async def erase(tx: "Tx", keys: Sequence[OrderKey], now: datetime) -> None:
    """Erase the customers of locked orders wherever they stand; published events included."""
    if not keys:
        return
    columns = _columns(keys)
    facts = await tx.fetch(_SQL["facts"], *columns)
    known = [_FACTS.validate_json(row["facts"]) for row in facts]
    blank = [dump(erased(order)) for order in known]
    found = _columns([OrderKey(row["order_id"], row["connection"]) for row in facts])
    await tx.execute(_SQL["erase_orders"], *found, blank, now)
    await tx.execute(_SQL["forget_words"], *found, [*map(_words, facts, known)])
    await _erase_events(tx, columns)
    await _erase_commands(tx, columns)
    for block in _FORGET:
        await tx.execute(_SQL[block], *columns)


def _words(row: "Record", facts: MarketplaceOrder) -> str:
    whole = (row["order_id"], row["store_order_id"] or "", *references(facts.lines))
    return "\n".join(words_without_person(row["connection"], whole))


async def _erase_events(tx: "Tx", columns: tuple[list[str], list[str]]) -> None:
    changed = []
    for row in await tx.fetch(_SQL["events"], *columns):
        document = orjson.loads(row["data"])
        blank = without_person(document)
        if blank != document:
            changed.append((row["position"], dump(blank)))
    await tx.execute(
        _SQL["replace_events"], [position for position, _ in changed], [data for _, data in changed]
    )


async def _erase_commands(tx: "Tx", columns: tuple[list[str], list[str]]) -> None:
    found = await tx.fetch(_SQL["commands"], *columns)
    bodies = [without_person(orjson.loads(row["body"])) for row in found]
    replies = [dump(without_person(orjson.loads(row["reply"]))) for row in found]
    unexplained = [dump({k: v for k, v in body.items() if k != "reason"}) for body in bodies]
    await tx.execute(_SQL["replace_commands"], [row["id"] for row in found], unexplained, replies)


async def of_person(database: "Database", email: str) -> AsyncIterator[list[OrderKey]]:
    """The orders of the customer with this e-mail address, piece by piece of all that is stored.

    The words orders are found by are folded and cut short: only the facts say whose they are.
    """
    after = ("", "")
    while True:
        async with database.connection() as conn:
            piece = await conn.fetch(_SQL["of_person"], *after, email.lower(), _PIECE)
        theirs = [OrderKey(row["order_id"], row["connection"]) for row in piece if row["theirs"]]
        if theirs:
            yield theirs
        if len(piece) < _PIECE:
            return
        after = (piece[-1]["order_id"], piece[-1]["connection"])


async def quarantined(database: "Database", email: str) -> AsyncIterator[Unread]:
    """What could not be read and bears this e-mail address somewhere in its XML."""
    wanted, after = email.lower(), ("", "")
    while True:
        async with database.connection() as conn:
            piece = await conn.fetch(_SQL["quarantined"], *after, _QUARANTINE_PIECE)
        for row in piece:
            xml = row["xml"].decode("utf-8", "replace")
            if wanted in html.unescape(xml).lower():
                key = OrderKey(row["order_id"], row["connection"])
                yield Unread(key, xml, row["error"], row["first_seen_at"])
        if len(piece) < _QUARANTINE_PIECE:
            return
        after = (piece[-1]["connection"], piece[-1]["order_id"])


async def forget_quarantined(tx: "Tx", keys: Sequence[OrderKey]) -> None:
    """Erase their XML; they are read again from the marketplace when they change there."""
    await tx.execute(_SQL["forget_quarantine"], *_columns(keys))


async def export(conn: "Conn", keys: Sequence[OrderKey]) -> list[bytes]:
    """Everything that is kept about these orders, a JSON document each."""
    found = await conn.fetch(_SQL["orders"], *_columns(keys))
    return [row["document"] for row in found]


async def prune_events(tx: "Tx", after: int, before: datetime) -> Pruned:
    """Delete published events older than `before`, oldest first; begin where the last piece ended.

    Starting over from 0 would read what was deleted and not yet vacuumed again and again.
    """
    row = await tx.fetchrow(_SQL["prune_events"], after, before, _ROWS)
    return _pruned(row, after)


async def prune_communications(tx: "Tx", after: int, before: datetime) -> Pruned:
    """As prune_events, for calls about orders."""
    row = await tx.fetchrow(_SQL["prune_communications"], after, before, _ROWS)
    return _pruned(row, after)


def _pruned(row: "Record | None", after: int) -> Pruned:
    assert row is not None  # noqa: S101 - an aggregate has one row
    return Pruned(row["rows"], row["last"] or after, row["kept"])


async def prune_commands(tx: "Tx", _after: int, before: datetime) -> Pruned:
    """As prune_events, for commands and their replies; an index on their time finds the oldest."""
    rows: int = await tx.fetchval(_SQL["prune_commands"], before, _ROWS)
    return Pruned(rows, 0)


async def prune_small(conn: "Conn", before: datetime) -> None:
    """What few rows are too old: XML in quarantine not seen since `before`, counted calls."""
    await conn.execute(_SQL["erase_quarantine"], before)
    await prune_calls(conn)


async def prune_calls(conn: "Conn") -> None:
    """Delete what counts for no hour any more."""
    await conn.execute(_SQL["prune_calls"])


def _columns(keys: Sequence[OrderKey]) -> tuple[list[str], list[str]]:
    return [key.order_id for key in keys], [key.connection for key in keys]
