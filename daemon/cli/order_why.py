"""`spartoo-sync orders why`: the decision on an order, in plain words, with its figures."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from daemon.cli.asking import find_order
from daemon.cli.command import Invocation
from daemon.cli.order_names import OrderName
from daemon.cli.output import cell, facts, show, table
from daemon.reasons import in_words
from statemachine.decision import ACCEPT
from statemachine.events import decision_document
from statemachine.model import Check, Decision, Order, OrderState


async def why_order(invocation: Invocation, name: OrderName) -> None:
    """Tell why an order was accepted automatically or waits: every check with its figures."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        order = await find_order(conn, name)
    document = {
        "connection": order.connection,
        "order_id": order.id,
        "state": order.state,
        "touched_by": order.touched_by,
        "decision": order.decision and decision_document(order.decision),
        "in_words": in_words(order.decision.reasons) if order.decision else [],
        "problem": order.problem,
    }
    show(document, as_json=invocation.as_json, render=lambda: _render(order))


def _render(order: Order) -> Iterator[RenderableType]:
    if order.decision is None:
        yield f"order {order.id} ({order.state}): no decision was taken; {_no_decision(order)}"
        return
    yield from render_decision(order.decision)
    if order.touched_by:
        yield cell(f"since then a person or program gave a command: {order.touched_by}")
    elif order.state is OrderState.PENDING_MANUAL:
        yield cell(f"to accept it: spartoo-sync orders accept {order.connection} {order.id}")


def _no_decision(order: Order) -> str:
    if order.state is OrderState.SYNCED:
        return "its connection records stock only"
    return "it was accepted, shipped or cancelled on Spartoo before it was first seen here"


def render_decision(decision: Decision) -> Iterator[RenderableType]:
    """Outcome, reasons in words, checks, and the settings it used."""
    accepted = decision.outcome == ACCEPT
    outcome = "accepted automatically" if accepted else "held for a person"
    yield Text(outcome, style="bold green" if accepted else "bold yellow")
    for code, words in zip(decision.reasons, in_words(decision.reasons), strict=True):
        yield Text(f"  • {words} [{code}]")
    if decision.checks:
        yield check_table(decision.checks)
    used = decision.settings
    yield facts(
        [
            ("decided", decision.at),
            ("auto_accept", used.auto_accept),
            ("price", f"{used.price_attribute} × {used.price_threshold}"),
            ("product by", used.product_id_attribute),
        ]
    )


def check_table(checks: Sequence[Check]) -> Table:
    """One row a check, with its figures."""
    return table(
        ("line", "check", "passed", "figures"),
        [
            (c.line, c.check, cell(c.passed, "green" if c.passed else "red"), c.detail)
            for c in checks
        ],
    )
