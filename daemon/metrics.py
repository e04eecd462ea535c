"""All metrics of interfaces.md ("Metrics"), in one registry per process."""

import collections
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from statemachine.changes import Changes
from statemachine.return_facts import ReturnChanges

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class Metrics:
    """What Prometheus scrapes. Labels stay bounded: connections, states, services, codes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._flow()
        self._marketplace()
        self._queues()
        self._standing()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"spartoo_sync_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"spartoo_sync_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        return Histogram(
            f"spartoo_sync_{name}", text, labels, registry=self.registry, buckets=buckets
        )

    def _flow(self) -> None:
        self.auth_failures = self._counter("auth_failures", "Wrong tokens", "part")
        self.order_transitions = self._counter(
            "order_transitions", "Moves of orders", "connection", "from", "to"
        )
        self.return_transitions = self._counter(
            "return_transitions", "Moves of returns", "connection", "from", "to"
        )
        self.decisions = self._counter(
            "decisions", "Automatic decisions by reason", "connection", "outcome", "reason"
        )
        self.order_end_to_end = self._histogram(
            "order_end_to_end_seconds",
            "From an order first seen to its first event confirmed by the broker",
            "connection",
            buckets=_LONG,
        )
        self.commands = self._counter("commands", "Commands by outcome", "command", "status")

    def _marketplace(self) -> None:
        self.poll_duration = self._histogram(
            "poll_duration_seconds", "Duration of looks", "connection", "look", buckets=_LONG
        )
        self.last_successful_poll = self._gauge(
            "last_successful_poll_timestamp_seconds",
            "End of the last good look, 0 before it",
            "connection",
        )
        self.spartoo_calls = self._counter(
            "spartoo_calls", "Calls by result code", "connection", "service", "code"
        )
        self.spartoo_call_duration = self._histogram(
            "spartoo_call_duration_seconds", "Duration of calls", "service"
        )
        self.spartoo_call_budget_remaining = self._gauge(
            "spartoo_call_budget_remaining", "Calls left this hour", "connection", "service"
        )
        self.connection_suspended = self._gauge(
            "connection_suspended", "1 while a connection is suspended", "connection"
        )

    def _queues(self) -> None:
        self.actions_pending = self._gauge(
            "actions_pending", "Actions waiting for Spartoo", "connection", "action"
        )
        self.actions_oldest = self._gauge(
            "actions_oldest_seconds", "Age of the oldest waiting action"
        )
        self.outbox_pending = self._gauge("outbox_pending", "Events not yet confirmed")
        self.outbox_oldest = self._gauge(
            "outbox_oldest_seconds", "Age of the oldest unconfirmed event"
        )
        self.event_publish = self._histogram(
            "event_publish_seconds", "From publishing a window to its confirms"
        )

    def _standing(self) -> None:
        self.orders = self._gauge("orders", "Orders by state", "connection", "state")
        self.returns = self._gauge("returns", "Returns by state", "connection", "state")
        self.pending_manual_oldest = self._gauge(
            "pending_manual_oldest_seconds", "Age of the oldest waiting order", "connection"
        )
        self.quarantined_orders = self._gauge(
            "quarantined_orders", "Orders that cannot be read", "connection"
        )
        self.catalog_age = self._gauge(
            "catalog_age_seconds", "Age of the stalest catalogue's newest stock number"
        )
        self.leader = self._gauge("leader", "1 while this process holds the role", "role")
        self.build_info = self._gauge("build_info", "This program", "version", "python")
        self.build_info.labels(version("spartoo-order-sync"), platform.python_version()).set(1)

    def count_changes(self, connection: str, changes: Iterable[Changes]) -> None:
        """Count the moves and automatic decisions of stored steps."""
        moves: collections.Counter[tuple[str, str]] = collections.Counter()
        decisions: collections.Counter[tuple[str, str]] = collections.Counter()
        for change in changes:
            moves.update((move.from_state or "", move.to_state) for move in change.history)
            if (decided := change.decided) is not None:
                decisions.update((decided.outcome, why) for why in decided.reasons or ("",))
        for states, count in moves.items():
            self.order_transitions.labels(connection, *states).inc(count)
        for decision, count in decisions.items():
            self.decisions.labels(connection, *decision).inc(count)

    def count_return_changes(self, connection: str, changes: Iterable[ReturnChanges]) -> None:
        """Count the moves of returns in stored steps."""
        for change in changes:
            for move in change.history:
                origin = move.from_state or ""
                self.return_transitions.labels(connection, origin, move.to_state).inc()

    def confirmed(self, connection: str, first_seen: datetime, now: datetime) -> None:
        """An order's first event has reached the broker."""
        self.order_end_to_end.labels(connection).observe((now - first_seen).total_seconds())

    def render(self) -> bytes:
        """The text Prometheus reads."""
        return generate_latest(self.registry)
