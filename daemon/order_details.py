"""One order with all that is kept about it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapters.ports import LoggedEvent
from adapters.postgres import actions, communications, connections, events
from adapters.postgres import orders as order_store
from adapters.postgres import returns as return_store
from adapters.postgres.actions import StoredAction
from adapters.postgres.communications import Communication
from adapters.postgres.database import Conn
from statemachine.changes import Transition
from statemachine.connection import ConnectionSettings
from statemachine.events import decision_document, order_document, transition_document
from statemachine.model import Order, Return
from statemachine.return_events import return_document

_MOST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class OrderDetails:
    """What a person opens."""

    order: Order
    settings: ConnectionSettings
    history: Sequence[Transition]
    actions: Sequence[StoredAction]
    events: Sequence[LoggedEvent]
    communications: Sequence[Communication]
    returns: Sequence[Return]


async def order_details(conn: Conn, order: Order) -> OrderDetails:
    """Read everything about the order."""
    connection = await connections.get(conn, order.connection)
    return OrderDetails(
        order,
        connection.settings,
        await order_store.history(conn, order.connection, order.id),
        await actions.find(conn, order.connection, order.id),
        await events.after(conn, 0, _MOST_EVENTS, connection=order.connection, order_id=order.id),
        await communications.of_order(conn, order.connection, order.id, _MOST_EVENTS),
        await return_store.of_order(conn, order.connection, order.id),
    )


def details_document(details: OrderDetails) -> dict[str, Any]:
    """The order as events tell it, and the rest beside it."""
    order = details.order
    return {
        **order_document(order, details.settings),
        "first_seen_at": order.first_seen_at,
        "acknowledged_at": order.acknowledged_at,
        "published_at": order.published_at,
        "touched_by": order.touched_by,
        "problem": order.problem,
        "decision": order.decision and decision_document(order.decision),
        "reserved": order.reserved,
        "history": [
            transition_document(move) | {"reason": move.reason} for move in details.history
        ],
        "actions": [asdict(action) for action in details.actions],
        "returns": [return_document(returned) for returned in details.returns],
        "events": [_event_document(event) for event in details.events],
        "communications": [asdict(entry) for entry in details.communications],
    }


def _event_document(event: LoggedEvent) -> dict[str, Any]:
    return {
        "position": event.position,
        "id": str(event.id),
        "type": event.type,
        "subject": event.subject,
        "sequence": event.sequence,
        "time": event.time,
    }
