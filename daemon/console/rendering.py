"""Templates: Jinja2 with escaping always on, and the few words that every page needs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from daemon.console.static_files import StaticFile

if TYPE_CHECKING:
    from daemon.console.visit import Entry

_AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class Renderer:
    """Renders the package's templates. An undefined name is an error, not an empty place."""

    def __init__(self, static: Mapping[str, StaticFile], navigation: Sequence["Entry"]):
        self._environment = Environment(
            loader=PackageLoader("daemon.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {
            "static": lambda name: f"/static/{static[name].hashed_name}",
            "navigation": navigation,
        }
        self._environment.filters |= {
            "age": age,
            "amount": amount,
            "moment": moment,
            "pair": lambda code: (code, str(code).replace("_", " ")),
            "part": lambda text: quote(str(text), safe=""),
            "words": lambda code: str(code).replace("_", " "),
        }

    def render(self, template: str, path: str, values: Mapping[str, Any]) -> str:
        """The template's text for the page at this path."""
        always = {"path": path, "visit": None, "waiting": None, "told": None}
        return self._environment.get_template(template).render(always, **values)


def age(at: datetime, now: datetime | None = None) -> str:
    """How long ago, in its largest unit: "3 h"."""
    passed = ((now or datetime.now(UTC)) - at) / timedelta(seconds=1)
    for seconds, unit in _AGES:
        if passed >= seconds:
            return f"{passed // seconds:.0f} {unit}"
    return "now"


def moment(at: datetime) -> str:
    """A time for who runs no script: to the minute, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def amount(value: Decimal | None, currency: str = "") -> str:
    """Money as the marketplace wrote it, and its currency."""
    return "" if value is None else f"{value} {currency}".strip()
