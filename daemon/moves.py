"""What stored steps did, told once: counted, and a line in the log for each order that moved."""

from collections.abc import Collection

import structlog

from daemon.metrics import Metrics
from statemachine.changes import Changes

log = structlog.get_logger(__name__)


def tell_moves(metrics: Metrics, connection: str, changes: Collection[Changes]) -> None:
    """Count and log stored steps."""
    metrics.count_changes(connection, changes)
    told = log.bind(connection=connection)
    for change in changes:
        if change.history:
            first, last = change.history[0], change.history[-1]
            states = [first.from_state, *(move.to_state for move in change.history)]
            told.info(
                "order moved",
                order_id=change.order.id,
                states=" → ".join(state for state in states if state),
                by=last.by,
            )
