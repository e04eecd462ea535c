"""The faults in force, and what they make of a call."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from adapters.spartoo.simulator.fault_kinds import AnyFault
from adapters.spartoo.simulator.plan import HONEST, Plan


class UnknownScope(ValueError):
    """The fault names a service or account that does not exist; it could never happen."""


@dataclass(slots=True)
class _InForce:
    fault: AnyFault
    left: int | None


class FaultBoard:
    """Faults in the order they were set; one with a count ends by itself."""

    def __init__(self, seed: int, services: Iterable[str], accounts: Iterable[str]):
        self._rng = Random(seed)  # noqa: S311 - chance of misbehaviour, not secrets
        self._services = tuple(services)
        self._accounts = tuple(accounts)
        self._faults: list[_InForce] = []

    def add(self, fault: AnyFault) -> None:
        """Raises UnknownScope."""
        for what, named, known in (
            ("service", fault.service, self._services),
            ("account", fault.account, self._accounts),
        ):
            if named is not None and named not in known:
                raise UnknownScope(f"{what}: no {what} {named!r}; there are: {', '.join(known)}")
        self._faults.append(_InForce(fault, fault.count))

    def clear(self) -> None:
        self._faults.clear()

    def in_force(self) -> list[tuple[AnyFault, int | None]]:
        """Each fault with the calls it has left; None: no end."""
        return [(held.fault, held.left) for held in self._faults]

    def plan(self, service: str, account: str | None) -> Plan:
        """How to answer the next call to that service; counts the faults it uses up."""
        if not self._faults:
            return HONEST
        plan = HONEST
        for held in self._faults:
            if self._hits(held.fault, service, account):
                plan = held.fault.apply(plan)
                plan = replace(plan, faults=(*plan.faults, held.fault.kind))
                held.left = None if held.left is None else held.left - 1
        self._faults = [held for held in self._faults if held.left != 0]
        return replace(plan, delay=plan.delay + self._rng.uniform(0, plan.jitter), jitter=0)

    def _hits(self, fault: AnyFault, service: str, account: str | None) -> bool:
        if fault.service not in (None, service) or fault.account not in (None, account):
            return False
        return fault.probability >= 1 or self._rng.random() < fault.probability
