"""Many orders at once: accept or refuse, with a report of what was refused and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from aiohttp import web
from orjson import dumps

from daemon.console.visit import Complaint, Outcome, Pages, Visit

PAGES = Pages()

MOST = 200
COMMANDS = {"order.accept": "accept", "order.refuse": "refuse"}


@dataclass(frozen=True, slots=True)
class Handled:
    """One order of the selection, and what became of it."""

    connection: str
    order_id: str
    outcome: Outcome


@PAGES.post("/orders/bulk")
async def bulk(visit: Visit) -> web.Response:
    """Carry a command out on each chosen order; refusing asks once more before."""
    command, chosen = visit.text("command"), _chosen(visit)
    if command not in COMMANDS:
        raise Complaint(400, "Many orders at once can be accepted or refused.")
    values: dict[str, Any] = {"verb": COMMANDS[command], "command": command}
    if command == "order.refuse" and visit.text("sure") != "yes":
        return await _shown(visit, "confirm", values | {"chosen": chosen}, "console:ask")
    handled = [await _handle(visit, command, *names) for names in chosen]
    refused = [one for one in handled if one.outcome.refused]
    values |= {"done": len(handled) - len(refused), "refused": refused}
    return await _shown(visit, "report", values, "console:done")


async def _shown(visit: Visit, name: str, values: dict[str, Any], trigger: str) -> web.Response:
    """As a page, or as the part of one that htmx puts in."""
    if not visit.by_htmx:
        return await visit.page(f"orders/{name}_page.html", title="Orders", **values)
    response = visit.fragment(f"orders/{name}.html", **values)
    response.headers["HX-Trigger-After-Swap"] = trigger
    response.headers["HX-Retarget"] = "#ask" if name == "confirm" else "#report"
    return response


def _chosen(visit: Visit) -> Sequence[tuple[str, str]]:
    """Connection and id of each chosen order, once."""
    pairs = (key.partition("/") for key in dict.fromkeys(visit.texts("order")))
    chosen = [(connection, order_id) for connection, _, order_id in pairs if order_id]
    if not chosen:
        raise Complaint(400, "No order is selected: tick some, then again.")
    if len(chosen) > MOST:
        raise Complaint(400, f"{len(chosen)} orders are selected; {MOST} can be done at once.")
    return chosen


async def _handle(visit: Visit, command: str, connection: str, order_id: str) -> Handled:
    fields = {
        "id": _command_id(visit.text("id"), command, connection, order_id),
        "command": command,
        "connection": connection,
        "order_id": order_id,
    }
    if visit.text("reason"):
        fields["reason"] = visit.text("reason")
    return Handled(connection, order_id, await visit.carry_out(fields))


def _command_id(*names: str) -> str:
    """Of the form, the command and the order: the same form posted twice does nothing twice."""
    return f"console-{sha256(dumps(names)).hexdigest()}"
