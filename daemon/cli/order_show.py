"""`spartoo-sync orders show`: everything about one order."""

from collections.abc import Iterator, Sequence

from rich.columns import Columns
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from adapters.postgres.actions import StoredAction
from daemon.cli.asking import find_order
from daemon.cli.command import Invocation
from daemon.cli.order_list import money, state_cell
from daemon.cli.order_names import OrderName
from daemon.cli.order_why import render_decision
from daemon.cli.output import cell, facts, plain, show, table
from daemon.cli.return_list import return_table
from daemon.order_details import OrderDetails, details_document, order_details
from statemachine.model import Address, Order, Relay
from statemachine.shipping import units_shipped

_ACTION_COLUMNS = ("action", "status", "tries", "by", "reason", "stored", "settled", "result")


async def show_order(invocation: Invocation, name: OrderName) -> None:
    """Open one order: general, addresses, items, actions, returns, history, calls."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        opened = await order_details(conn, await find_order(conn, name))
    show(details_document(opened), as_json=invocation.as_json, render=lambda: _render(opened))


def _render(opened: OrderDetails) -> Iterator[RenderableType]:
    order = opened.order
    yield Text.assemble((f"order {order.id}", "bold"), f" of {order.connection}, ", *_state(order))
    if order.problem is not None:
        problem = f"needs attention: {plain(order.problem.message)} [{order.problem.code}]"
        yield Text(problem, style="red")
        yield Text(f"  spartoo-sync orders retry {order.connection} {order.id}", style="red")
    yield facts(_general(order))
    yield Columns(_addresses(opened))
    yield _items(order)
    if order.decision is not None:
        yield ""
        yield from render_decision(order.decision)
    yield from _sections(opened)


def _state(order: Order) -> tuple[Text, str]:
    return state_cell(order.state), f" (Spartoo status {order.facts.status})"


def _general(order: Order) -> list[tuple[str, object]]:
    of = order.facts
    customer = of.customer
    pairs: list[tuple[str, object]] = [
        ("placed", of.purchased_at),
        ("first seen", order.first_seen_at),
        ("total", money(of.total, of.currency)),
        ("shipping", f"{money(of.shipping_price, of.currency)} {of.shipping_service}".strip()),
        ("payment", f"{money(of.payment.price, of.currency)} {of.payment.method}".strip()),
        ("customer", f"{customer.first_name} {customer.last_name} {customer.company}".strip()),
        ("e-mail", customer.email),
        ("telephone", customer.phone),
        ("shipped", _units(order)),
        ("store's id", order.store_order_id),
        ("published", order.published_at),
        ("touched by", order.touched_by),
    ]
    return [(name, value) for name, value in pairs if value not in (None, "")]


def _units(order: Order) -> str | None:
    shipped, ordered = units_shipped(order)
    return f"{shipped} of {ordered} units" if order.shipments else None


def _addresses(opened: OrderDetails) -> list[Panel]:
    of = opened.order.facts
    shipping = of.shipping_address
    panels = [_panel("billing", _lines(of.billing_address))]
    if opened.settings.use_billing_address_for_shipping:
        panels.append(_panel("shipping (the marketplace's own)", _lines(shipping)))
    else:
        panels.append(_panel("shipping", _lines(shipping)))
    if of.relay is not None:
        panels.append(_panel("collection point", _relay_lines(of.relay)))
    return panels


def _panel(title: str, lines: Sequence[str]) -> Panel:
    return Panel(Text("\n".join(plain(line) for line in lines if line)), title=title, expand=False)


def _lines(address: Address) -> list[str]:
    return [
        f"{address.first_name} {address.last_name}".strip(),
        address.company,
        address.street,
        address.suburb,
        f"{address.postcode} {address.city}".strip(),
        f"{address.state} {address.country}".strip(),
    ]


def _relay_lines(relay: Relay) -> list[str]:
    where = f"{relay.postcode} {relay.city} {relay.country}".strip()
    return [f"{relay.name} ({relay.type} {relay.id})", relay.address, where]


def _items(order: Order) -> RenderableType:
    columns = ("line", "reference", "name", "size", "colour", "qty", "unit", "paid", "product")
    rows = [
        (
            line.line,
            line.size_reference or line.reference,
            f"{line.brand} {line.name}".strip(),
            line.size,
            line.color,
            line.quantity,
            line.unit_price,
            line.unit_price_discounted,
            order.products.get(line.line, cell("unknown", "yellow")),
        )
        for line in order.facts.lines
    ]
    return table(columns, rows)


def _sections(opened: OrderDetails) -> Iterator[RenderableType]:
    if opened.actions:
        yield Text("\nactions for Spartoo", style="bold")
        yield action_table(opened.actions)
    if opened.returns:
        yield Text("\nreturns", style="bold")
        yield return_table(opened.returns)
    yield Text("\nhistory", style="bold")
    yield table(
        ("at", "from", "to", "by", "trigger", "reason"),
        [(m.at, m.from_state, m.to_state, m.by, m.trigger, m.reason) for m in opened.history],
    )
    yield Text("\ncommunications", style="bold")
    yield table(
        ("at", "", "kind", "what", "result", "about"),
        [(c.at, c.direction, c.kind, c.name, c.result, c.summary) for c in opened.communications],
    )


def action_table(actions: Sequence[StoredAction]) -> Table:
    """One row an action."""
    return table(_ACTION_COLUMNS, [_action(action) for action in actions])


def _action(action: StoredAction) -> tuple[object, ...]:
    return (
        action.kind,
        action.status,
        action.attempts,
        action.requested_by,
        action.reason,
        action.created_at,
        action.settled_at,
        f"{action.code} {action.message}".strip(),
    )
