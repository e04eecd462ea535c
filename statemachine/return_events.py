"""The events of a return, in the shapes of interfaces.md ("return events")."""

from typing import Any

from statemachine.changes import Event, EventType
from statemachine.events import order_source
from statemachine.model import Return
from statemachine.return_facts import ReturnTransition


def return_document(returned: Return) -> dict[str, Any]:
    """The return as the outside sees it: events, replies, `returns show --json`."""
    facts = returned.facts
    return {
        "connection": returned.connection,
        "return_id": facts.return_id,
        "order_id": facts.order_id or None,
        "state": returned.state,
        "spartoo_status": facts.status,
        "reason": facts.reason,
        "requested_at": facts.requested_at,
        "item": facts.item,
        "label_link": returned.label_link,
        "has_label": returned.has_label,
    }


def return_transition_document(transition: ReturnTransition) -> dict[str, Any]:
    """A move as events and `returns show --json` tell it."""
    return {
        "from": transition.from_state,
        "to": transition.to_state,
        "trigger": transition.trigger,
        "by": transition.by,
        "at": transition.at,
    }


def return_event(returned: Return, transition: ReturnTransition) -> Event:
    """The event of a move; `returned` is as it stands after it."""
    return Event(
        type=EventType(f"return.{returned.state}"),
        source=order_source(returned.connection),
        subject=returned.id,
        time=transition.at,
        data={
            "return": return_document(returned),
            "transition": return_transition_document(transition),
        },
        connection=returned.connection,
        order_id=returned.facts.order_id or None,
    )
