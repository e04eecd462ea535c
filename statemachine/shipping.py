"""Shipping: the service Spartoo allows, the parcels of an order, and when all of it is shipped.

Source: Koongo, "Default Shipping Service", "Allowed shipping services".
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from statemachine.connection import ConnectionSettings
from statemachine.facts import Parcel, Refused
from statemachine.model import Line, Order, Shipment, ShippedItem
from statemachine.names import canonical_name


def allowed_service(name: str, settings: ConnectionSettings) -> str:
    """The service as Spartoo knows it, by its name, by an alias, or the default.

    Names are compared without case, accents or spacing. Raises Refused `no_shipping_service`.
    """
    allowed = {canonical_name(service): service for service in settings.shipping_services}
    aliases = {canonical_name(a): s for a, s in settings.shipping_aliases.items()}
    wanted = canonical_name(name)
    for candidate in (wanted, canonical_name(aliases.get(wanted, ""))):
        if candidate in allowed:
            return allowed[candidate]
    if settings.default_shipping_service is not None:
        return allowed[canonical_name(settings.default_shipping_service)]
    raise Refused(
        "no_shipping_service",
        f"Spartoo does not know the shipping service {name!r} and the connection has no default;"
        f" allowed: {', '.join(settings.shipping_services)}",
    )


def is_complete(lines: Iterable[Line], shipments: Iterable[Shipment]) -> bool:
    """True when every unit of every line is in a parcel."""
    return not left_to_ship(lines, shipments)


def with_parcels(
    order: Order, parcels: Sequence[Parcel], settings: ConnectionSettings
) -> tuple[Shipment, ...]:
    """The order's shipments with these parcels added; one known by its number stays as it is.

    Raises Refused: `bad_command` for items that were not ordered and for two parcels of one
    number, `no_shipping_service`.
    """
    number, times = Counter(parcel.tracking_number for parcel in parcels).most_common(1)[0]
    if times > 1:
        raise Refused("bad_command", f"{times} parcels bear the tracking number {number}")
    shipments = order.shipments
    known = {shipment.tracking_number for shipment in shipments}
    for parcel in parcels:
        if parcel.tracking_number not in known:
            shipments = (*shipments, _packed(order, shipments, parcel, settings))
            known.add(parcel.tracking_number)
    return shipments


def _packed(
    order: Order, packed: tuple[Shipment, ...], parcel: Parcel, settings: ConnectionSettings
) -> Shipment:
    left = left_to_ship(order.facts.lines, packed)
    items = parcel.items or tuple(ShippedItem(line, n) for line, n in sorted(left.items()))
    for line, quantity in Counter(_units(items)).items():
        if quantity > left.get(line, 0):
            raise Refused(
                "bad_command",
                f"parcel {parcel.tracking_number}: {quantity} units of line {line},"
                f" {left.get(line, 0)} of it are left to ship",
            )
    return Shipment(
        tracking_number=parcel.tracking_number,
        shipping_service=allowed_service(parcel.shipping_service, settings),
        store_shipping_service=parcel.shipping_service,
        items=items,
        shipped_at=None,
    )


def left_to_ship(lines: Iterable[Line], shipments: Iterable[Shipment]) -> dict[int, int]:
    """Units of each line that are in no parcel yet."""
    left = Counter({line.line: line.quantity for line in lines})
    for shipment in shipments:
        left.subtract(_units(shipment.items))
    return {line: units for line, units in left.items() if units > 0}


def _units(items: Iterable[ShippedItem]) -> dict[int, int]:
    units: Counter[int] = Counter()
    for item in items:
        units[item.line] += item.quantity
    return units
