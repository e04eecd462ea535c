"""`spartoo-sync returns show`: everything about one return."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from adapters.postgres import returns as return_store
from adapters.postgres.database import Conn
from daemon.cli.asking import known_connection
from daemon.cli.command import Invocation
from daemon.cli.order_names import ReturnName
from daemon.cli.order_show import action_table
from daemon.cli.output import facts, plain, show, table
from daemon.cli.return_list import item_in_words, return_state_cell
from daemon.return_details import ReturnDetails, details_document, return_details
from statemachine.facts import Refused
from statemachine.model import ConnectionId, Return, ReturnId


async def show_return(invocation: Invocation, name: ReturnName) -> None:
    """Open one return: general, item, label, actions, history, problem."""
    async with invocation.parts() as parts, parts.database.connection() as conn:
        opened = await return_details(conn, await find_return(conn, name))
    show(details_document(opened), as_json=invocation.as_json, render=lambda: _render(opened))


async def find_return(conn: Conn, names: Sequence[str]) -> Return:
    """The return named `RETURN` or `CONNECTION RETURN`. Raises Refused: unknown or ambiguous."""
    return_id, connection = names[-1], names[0] if len(names) > 1 else None
    if connection is not None:
        await known_connection(conn, connection)
    wanted = ConnectionId(connection) if connection else None
    found = await return_store.find(conn, ReturnId(return_id), wanted)
    found = found or await return_store.find(conn, ReturnId(return_id.upper()), wanted)
    if len(found) > 1:
        holders = " and ".join(returned.connection for returned in found)
        message = f"{holders} both hold a return {return_id}; name the connection before the return"
        raise Refused("ambiguous_return", message)
    if not found:
        who = f"connection {connection} has no" if connection else "no connection has a"
        message = f"{who} return {return_id}; `spartoo-sync returns list` names those there are"
        raise Refused("unknown_return", message)
    return found[0]


def _render(opened: ReturnDetails) -> Iterator[RenderableType]:
    returned = opened.returned
    status = f" (Spartoo status {returned.facts.status})"
    head = (f"return {returned.id}", "bold"), f" of {returned.connection}, "
    yield Text.assemble(*head, return_state_cell(returned.state), status)
    if returned.problem is not None:
        problem = f"needs attention: {plain(returned.problem.message)} [{returned.problem.code}]"
        yield Text(problem, style="red")
    yield facts(_general(returned))
    if opened.actions:
        yield Text("\nactions for Spartoo", style="bold")
        yield action_table(opened.actions)
    yield Text("\nhistory", style="bold")
    moves = [(m.at, m.from_state, m.to_state, m.by, m.trigger) for m in opened.history]
    yield table(("at", "from", "to", "by", "trigger"), moves)


def _general(returned: Return) -> list[tuple[str, object]]:
    of = returned.facts
    pairs: list[tuple[str, object]] = [
        ("order", of.order_id),
        ("requested", of.requested_at),
        ("first seen", returned.first_seen_at),
        ("item", item_in_words(returned)),
        ("reason", of.reason),
        ("label", returned.label_link or ("sent" if returned.has_label else None)),
        ("touched by", returned.touched_by),
    ]
    return [(name, value) for name, value in pairs if value not in (None, "")]
