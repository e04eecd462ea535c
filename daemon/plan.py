"""The plan: how many order connections may be active, how many orders it includes (Koongo)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from adapters.postgres import connections, orders
from adapters.postgres.database import Conn, Tx
from statemachine.facts import Refused
from statemachine.model import ConnectionId


class Plan(Protocol):
    """`[plan]` of the settings; None is no limit."""

    @property
    def order_connections(self) -> int | None: ...

    @property
    def orders_per_connection(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ConnectionUsage:
    """One connection's orders placed this month, in its zone."""

    connection: ConnectionId
    active: bool
    orders: int
    further_packages: int  # beyond what the plan includes; counted, nothing is blocked


@dataclass(frozen=True, slots=True)
class PlanUsage:
    """What is used of the plan; `allowed` None is no limit."""

    allowed: int | None
    used: int
    orders_per_connection: int
    connections: tuple[ConnectionUsage, ...]

    @property
    def orders(self) -> int:
        return sum(usage.orders for usage in self.connections)

    @property
    def further_packages(self) -> int:
        return sum(usage.further_packages for usage in self.connections)


async def plan_usage(conn: Conn, plan: Plan, now: datetime) -> PlanUsage:
    """How much of the plan is used in the month of `now`."""
    package = plan.orders_per_connection
    usages = tuple(
        ConnectionUsage(connection, active, count, max(-(-count // package) - 1, 0))
        for connection, active, count in await orders.placed_in_month(conn, now)
    )
    used = sum(usage.active for usage in usages)
    return PlanUsage(plan.order_connections, used, package, usages)


async def check_plan(tx: Tx, plan: Plan) -> None:
    """Room for one more active connection? Raises Refused `plan_limit`."""
    allowed = plan.order_connections
    if allowed is not None and await connections.active_count(tx) >= allowed:
        raise Refused(
            "plan_limit",
            f"your plan allows {allowed} active order connections; "
            "update the plan or disable another connection",
        )
