"""Which orders the grid shows. Search text is sealed in the address: it may name a customer."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from daemon.console.seal import Seal
from daemon.console.visit import Complaint, Visit
from statemachine.model import ConnectionId, OrderState

_SEARCH = "order search"


@dataclass(frozen=True, slots=True)
class Filters:
    """As chosen in the form; days are of the viewer's zone."""

    connection: str = ""
    state: str = ""
    since: str = ""
    until: str = ""
    zone: str = ""
    attention: str = ""
    text: str = ""

    @classmethod
    def read(cls, visit: Visit) -> Self:
        """Those of the address or the form. Raises Complaint."""
        names = ("connection", "state", "since", "until", "zone", "attention", "text")
        found = cls(**{name: visit.text(name) for name in names})
        sealed = visit.text("search")
        if sealed:
            found = replace(found, text=Seal(visit.parts.cipher, _SEARCH).open(sealed) or "")
        found.criteria()
        return found

    @property
    def any(self) -> bool:
        """True when something is filtered."""
        return replace(self, zone="") != Filters()

    def criteria(self) -> dict[str, Any]:
        """As the store takes them. Raises Complaint."""
        return {
            "connection": ConnectionId(self.connection) if self.connection else None,
            "state": _state(self.state),
            "text": self.text or None,
            "since": self._midnight(self.since),
            "until": self._midnight(self.until, days=1),
            "attention": True if self.attention else None,
        }

    def address(self, visit: Visit, cursor: str | None = None) -> str:
        """Where these orders are shown."""
        fields = {
            "connection": self.connection,
            "state": self.state,
            "since": self.since,
            "until": self.until,
            "zone": self.zone if self.since or self.until else "",
            "attention": self.attention,
            "search": Seal(visit.parts.cipher, _SEARCH).close(self.text) if self.text else "",
            "cursor": cursor,
        }
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"/orders?{query}" if query else "/orders"

    def _midnight(self, day: str, *, days: int = 0) -> datetime | None:
        if not day:
            return None
        try:
            after = date.fromisoformat(day) + timedelta(days=days)
            return datetime.combine(after, time(), self._zone()).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise Complaint(400, f"{day!r} is no day like 2026-11-20.") from error

    def _zone(self) -> tzinfo:
        try:
            return ZoneInfo(self.zone) if self.zone else UTC
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return UTC


def _state(state: str) -> OrderState | None:
    try:
        return OrderState(state) if state else None
    except ValueError as error:
        raise Complaint(400, f"{state!r} is no state of an order.") from error
