"""The web services: table name → handler. A handler reads fields and says what it did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from adapters.spartoo.simulator.codes import Code
from adapters.spartoo.simulator.orders import FOLLOWS, SimulatedOrder, Status, export_time
from adapters.spartoo.simulator.world import Account, World
from adapters.spartoo.simulator.xml import Place

Fields = Mapping[str, str]
_ENGLISH = {"partner": "partenaire", "status": "statut"}
_DATE_FIELD = "%Y-%m-%d:%H:%M:%S"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did; `before` and `after` are the status of the order it named."""

    code: int
    orders: tuple[SimulatedOrder, ...] | None = None
    order_id: str | None = None
    before: Status | None = None
    after: Status | None = None


Handler = Callable[[World, Account, Fields], Outcome]


@dataclass(frozen=True, slots=True)
class Service:
    """One web service, and where its result code stands in the answer."""

    handle: Handler
    place: Place


def french_names(fields: Fields) -> dict[str, str]:
    """Fields without outer blanks, the English names of the documentation translated."""
    named = {name: value.strip() for name, value in fields.items()}
    for english, french in _ENGLISH.items():
        translated = named.pop(english, "")
        if translated and not named.get(french):
            named[french] = translated
    return named


def export_orders(world: World, account: Account, fields: Fields) -> Outcome:
    """`xml_export_orders`: the orders placed since `date`, or the one of `oID`."""
    if order_id := fields.get("oID"):
        order = world.order_of(account, order_id)
        if order is None:
            return Outcome(Code.NOT_FOUND, order_id=order_id)
        chosen = _with_status([order], fields.get("statut"))
        return Outcome(Code.OK, chosen, order_id, order.status, order.status)
    try:
        since = datetime.strptime(fields.get("date", ""), _DATE_FIELD)  # noqa: DTZ007 - local
    except ValueError:
        return Outcome(Code.PARAMETER_MISSING)
    return Outcome(
        Code.OK, _with_status(account.placed_from(export_time(since)), fields.get("statut"))
    )


def _with_status(orders: list[SimulatedOrder], wanted: str | None) -> tuple[SimulatedOrder, ...]:
    if not wanted:
        return tuple(orders)
    return tuple(order for order in orders if str(order.status.value) == wanted)


def change_order(world: World, account: Account, fields: Fields) -> Outcome:
    """`xml_maj_orders`: set the status of `oID` to `statut`, if it may follow the present one."""
    order_id, wanted = fields.get("oID"), fields.get("statut", "")
    if not order_id or not wanted.isdecimal():
        return Outcome(Code.ORDER_OR_STATUS_MISSING, order_id=order_id)
    order = world.order_of(account, order_id)
    if order is None:
        return Outcome(Code.NOT_FOUND, order_id=order_id)
    before = order.status
    code = _change(world, order, int(wanted), fields.get("tracking_number", ""))
    return Outcome(code, None, order_id, before, order.status)


def _change(world: World, order: SimulatedOrder, wanted: int, tracking_number: str) -> Code:
    if wanted == order.status:
        return Code.SAME_STATUS
    if wanted not in FOLLOWS[order.status]:
        return Code.WRONG_CHRONOLOGY
    if wanted == Status.SHIPPED and not tracking_number:
        return Code.PARAMETER_MISSING
    world.set_status(order, Status(wanted), tracking_number)
    return Code.OK


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "xml_export_orders": Service(export_orders, "statut"),
        "xml_maj_orders": Service(change_order, "errors"),
    }
)
