"""Every call received, to check afterwards what reached the marketplace and how often."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from adapters.spartoo.simulator.orders import Status
from adapters.spartoo.simulator.returns import ReturnStatus


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `code` is None where a fault answered without one."""

    number: int
    at: datetime
    service: str
    account: str  # of an unknown key: its last four characters
    fields: tuple[tuple[str, str], ...]  # without the key
    code: int | None
    order_id: str | None
    before: Status | ReturnStatus | None  # of that order, or of that return
    after: Status | ReturnStatus | None
    faults: tuple[str, ...]
    return_id: str | None = None

    @property
    def changed(self) -> bool:
        """True when the call moved its order or return to another status."""
        return self.before is not self.after

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "service": self.service,
            "account": self.account,
            "fields": dict(self.fields),
            "code": self.code,
            "order_id": self.order_id,
            "return_id": self.return_id,
            "status_before": self.before,
            "status_after": self.after,
            "changed": self.changed,
            "faults": list(self.faults),
        }


class Ledger:
    """The last `size` calls, numbered 1, 2, 3 … over the simulator's life."""

    def __init__(self, size: int):
        self._calls: deque[Call] = deque(maxlen=size)
        self._total = 0

    @property
    def total(self) -> int:
        """Calls ever recorded, the forgotten ones included."""
        return self._total

    def next_number(self) -> int:
        return self._total + 1

    def record(self, call: Call) -> None:
        self._total += 1
        self._calls.append(call)

    def after(self, number: int) -> Iterator[Call]:
        """Calls numbered above `number`, oldest first."""
        forgotten = self._total - len(self._calls)
        return islice(self._calls, max(number - forgotten, 0), None)

    def changes(self, order_id: str) -> list[Call]:
        """The calls that changed the status of that order."""
        return [call for call in self._calls if call.order_id == order_id and call.changed]
