"""The plan: how many order connections may be active (Koongo, "Plan")."""

from typing import Protocol

from adapters.postgres import connections
from adapters.postgres.database import Tx
from statemachine.facts import Refused


class Plan(Protocol):
    """`[plan]` of the settings; None is no limit."""

    @property
    def order_connections(self) -> int | None: ...


async def check_plan(tx: Tx, plan: Plan) -> None:
    """Room for one more active connection? Raises Refused `plan_limit`."""
    allowed = plan.order_connections
    if allowed is not None and await connections.active_count(tx) >= allowed:
        raise Refused(
            "plan_limit",
            f"your plan allows {allowed} active order connections; "
            "update the plan or disable another connection",
        )
