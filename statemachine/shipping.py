"""Shipping: the service that is allowed, the parcels of an order, and when all of it is shipped.

Source: Koongo, "Default Shipping Service", "Allowed shipping services".
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from statemachine.carriers import usual_carriers
from statemachine.connection import ConnectionSettings
from statemachine.facts import Parcel, Refused
from statemachine.model import Line, Order, Shipment, ShippedItem
from statemachine.names import canonical_name

_BETWEEN_WORDS = re.compile(r"[\W_]+")


def allowed_service(name: str, settings: ConnectionSettings, learnt: Iterable[str] = ()) -> str:
    """The service by its name, by an alias, by its first words, or the default.

    Names are compared without case, accents, spacing or punctuation. Without a written list the
    `learnt` names and the site's usual carriers are known, and a name that matches nothing is kept
    as the store wrote it: Spartoo's service takes no carrier. Raises Refused `no_shipping_service`
    under a written list.
    """
    services = known_services(settings, learnt)
    known = _known_names(services, settings.shipping_aliases)
    default = settings.default_shipping_service
    found = _by_first_words(name, known)
    if found is not None:
        return found
    if default is not None:
        return known.get(canonical_name(default), default)
    if settings.shipping_services is None:
        return name
    raise Refused(
        "no_shipping_service",
        f"the shipping service {name!r} is not one of the connection's shipping_services, and it"
        f" has no default; allowed: {', '.join(services)}",
    )


def known_services(settings: ConnectionSettings, learnt: Iterable[str] = ()) -> tuple[str, ...]:
    """The written list; else the names learnt from orders and the site's usual carriers."""
    if settings.shipping_services is not None:
        return settings.shipping_services
    return tuple(dict.fromkeys((*learnt, *usual_carriers(settings.site))))


def _known_names(services: Iterable[str], aliases: Mapping[str, str]) -> dict[str, str]:
    """Canonical name of a service or alias → the service; the first of a name stands."""
    known: dict[str, str] = {}
    for service in services:
        known.setdefault(canonical_name(service), service)
    meant = {canonical_name(alias): service for alias, service in aliases.items()}
    return known | {a: known.get(canonical_name(s), s) for a, s in meant.items()}


def _by_first_words(name: str, known: Mapping[str, str]) -> str | None:
    """The service named by most of the first words: "UPS Standard" is UPS."""
    words = _BETWEEN_WORDS.split(name)
    for end in range(len(words), 0, -1):
        wanted = canonical_name("".join(words[:end]))
        if wanted and wanted in known:
            return known[wanted]
    return None


def is_complete(order: Order) -> bool:
    """True when every unit is in a parcel, or will never leave."""
    given_up = _units(order.not_shipped)
    left = left_to_ship(order.facts.lines, order.shipments)
    return all(units <= given_up.get(line, 0) for line, units in left.items())


def units_shipped(order: Order) -> tuple[int, int]:
    """How many units are in parcels, and of how many."""
    ordered = left_to_ship(order.facts.lines, ())
    left = left_to_ship(order.facts.lines, order.shipments)
    return sum(ordered.values()) - sum(left.values()), sum(ordered.values())


def with_parcels(
    order: Order,
    parcels: Sequence[Parcel],
    settings: ConnectionSettings,
    learnt: Iterable[str] = (),
) -> tuple[Shipment, ...]:
    """The order's shipments with these parcels added; one known by its number stays as it is.

    A parcel without items holds what no other one does. Raises Refused: `bad_command` for items
    that were not ordered and for two parcels of one number, `no_shipping_service`.
    """
    number, times = Counter(parcel.tracking_number for parcel in parcels).most_common(1)[0]
    if times > 1:
        raise Refused("bad_command", f"{times} parcels bear the tracking number {number}")
    known = {shipment.tracking_number for shipment in order.shipments}
    new = [parcel for parcel in parcels if parcel.tracking_number not in known]
    names = (*(n for n in (order.facts.shipping_service,) if n), *learnt)
    packed: dict[str, Shipment] = {}
    for parcel in sorted(new, key=lambda parcel: not parcel.items):
        left = left_to_ship(order.facts.lines, (*order.shipments, *packed.values()))
        service = allowed_service(parcel.shipping_service, settings, names)
        packed[parcel.tracking_number] = _packed(parcel, left, service)
    return (*order.shipments, *(packed[parcel.tracking_number] for parcel in new))


def _packed(parcel: Parcel, left: Mapping[int, int], service: str) -> Shipment:
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
        shipping_service=service,
        store_shipping_service=parcel.shipping_service,
        items=items,
        shipped_at=None,
    )


def left_to_ship(lines: Iterable[Line], shipments: Iterable[Shipment]) -> dict[int, int]:
    """Units of each line that are in no parcel yet."""
    left = Counter({line.line: line.quantity for line in lines if not line.is_unusual})
    for shipment in shipments:
        left.subtract(_units(shipment.items))
    return {line: units for line, units in left.items() if units > 0}


def _units(items: Iterable[ShippedItem]) -> dict[int, int]:
    units: Counter[int] = Counter()
    for item in items:
        units[item.line] += item.quantity
    return units
