"""What an event says, in a few words."""

from collections.abc import Mapping
from typing import Any

from statemachine.model import OrderState


def told(data: Mapping[str, Any]) -> str:
    """The gist of an event's `data`: from where to where, why, how much."""
    match data:
        case {"transition": transition, "order": order}:
            gist = f"{_move(transition)}  {_total(order)}{_reasons(data)}"
        case {"changes": changes}:
            gist = f"changed: {', '.join(str(change['field']) for change in changes)}"
        case {"problem": {"code": code, "message": message}}:
            gist = f"{code}: {message}"
        case {"quarantine": {"error": error}}:
            gist = error
        case {"delta": delta, "available": available, "reason": reason}:
            gist = f"{delta:+d}, {available} available ({reason})"
        case {"reason": reason, "message": message}:
            gist = f"{reason}: {message}"
        case _:
            gist = ""
    return gist


def _move(transition: Mapping[str, Any]) -> str:
    before = transition["from"]
    move = f"{before} → {transition['to']}" if before else str(transition["to"])
    by = transition["by"]
    return move if by == "system" else f"{move} by {by}"


def _total(order: Mapping[str, Any]) -> str:
    return f"{order['total']} {order['currency']}" if order.get("total") else ""


def _reasons(data: Mapping[str, Any]) -> str:
    """Why it waits; the other moves of an order carry its decision too, but are not due to it."""
    if data["transition"]["to"] != OrderState.PENDING_MANUAL:
        return ""
    reasons = (data.get("decision") or {}).get("reasons")
    return f"  {', '.join(reasons)}" if reasons else ""
