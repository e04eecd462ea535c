"""One return with all that is kept about it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapters.postgres import actions
from adapters.postgres import returns as return_store
from adapters.postgres.actions import StoredAction
from adapters.postgres.database import Conn
from statemachine.model import Return
from statemachine.return_events import return_document, return_transition_document
from statemachine.return_facts import ReturnTransition


@dataclass(frozen=True, slots=True)
class ReturnDetails:
    """What a person opens."""

    returned: Return
    history: Sequence[ReturnTransition]
    actions: Sequence[StoredAction]


async def return_details(conn: Conn, returned: Return) -> ReturnDetails:
    """Read everything about the return."""
    return ReturnDetails(
        returned,
        await return_store.history(conn, returned.connection, returned.id),
        await actions.find_of_return(conn, returned.connection, returned.id),
    )


def details_document(details: ReturnDetails) -> dict[str, Any]:
    """The return as events tell it, and the rest beside it."""
    returned = details.returned
    return {
        **return_document(returned),
        "first_seen_at": returned.first_seen_at,
        "touched_by": returned.touched_by,
        "problem": returned.problem,
        "history": [return_transition_document(move) for move in details.history],
        "actions": [_action_document(action) for action in details.actions],
    }


def _action_document(action: StoredAction) -> dict[str, Any]:
    document = asdict(action)
    document["return_id"] = document.pop("order_id")
    return document
