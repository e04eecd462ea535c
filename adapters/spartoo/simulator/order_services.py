"""The web services for orders and their delivery slips."""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from lxml import etree

from adapters.spartoo.simulator.codes import Code
from adapters.spartoo.simulator.orders import (
    FOLLOWS,
    Package,
    SimulatedOrder,
    Status,
    export_time,
)
from adapters.spartoo.simulator.service import Form, Outcome, child_count, child_text
from adapters.spartoo.simulator.slips import slip_pdf
from adapters.spartoo.simulator.world import Account, World
from adapters.spartoo.simulator.xml import order_listing, slip_listing

_DATE_FIELD = "%Y-%m-%d:%H:%M:%S"


def export_orders(world: World, account: Account, form: Form) -> Outcome:
    """`xml_export_orders`: the orders placed since `date`, or the one of `oID`."""
    if order_id := form.get("oID"):
        order = world.order_of(account, order_id)
        if order is None:
            return Outcome(Code.NOT_FOUND, order_id=order_id)
        chosen = _with_status([order], form.get("statut"))
        listing = order_listing(chosen)
        return Outcome(Code.OK, listing, order_id, before=order.status, after=order.status)
    try:
        since = datetime.strptime(form.get("date"), _DATE_FIELD)  # noqa: DTZ007 - local
    except ValueError:
        return Outcome(Code.PARAMETER_MISSING)
    placed = account.placed_from(export_time(since))
    return Outcome(Code.OK, order_listing(_with_status(placed, form.get("statut"))))


def _with_status(orders: list[SimulatedOrder], wanted: str) -> tuple[SimulatedOrder, ...]:
    if not wanted:
        return tuple(orders)
    return tuple(order for order in orders if str(order.status.value) == wanted)


def change_order(world: World, account: Account, form: Form) -> Outcome:
    """`xml_maj_orders`: set the status of `oID` to `statut`, if it may follow the present one.

    An account with multi-package shipping may send `xml` instead: shipped, in these packages.
    """
    order_id = form.get("oID")
    by_packages = account.multi_package and "xml" in form.fields
    if not order_id or not (by_packages or form.get("statut").isdecimal()):
        return Outcome(Code.ID_OR_STATUS_MISSING, order_id=order_id or None)
    order = world.order_of(account, order_id)
    if order is None:
        return Outcome(Code.NOT_FOUND, order_id=order_id)
    before = order.status
    code = _ship_packages(world, order, form) if by_packages else _change(world, order, form)
    return Outcome(code, order_id=order_id, before=before, after=order.status)


def _change(world: World, order: SimulatedOrder, form: Form) -> Code:
    wanted, tracking_number = int(form.get("statut")), form.get("tracking_number")
    if (code := _may_follow(order, wanted)) is not Code.OK:
        return code
    if wanted == Status.SHIPPED and not tracking_number:
        return Code.PARAMETER_MISSING
    world.set_status(order, Status(wanted), tracking_number)
    return Code.OK


def _may_follow(order: SimulatedOrder, wanted: int) -> Code:
    if wanted == order.status:
        return Code.SAME_STATUS
    return Code.OK if wanted in FOLLOWS[order.status] else Code.WRONG_CHRONOLOGY


def _ship_packages(world: World, order: SimulatedOrder, form: Form) -> Code:
    root = form.xml()
    if isinstance(root, Code):
        return root
    if child_text(root, "order_id") != order.id:
        return Code.NOT_FOUND
    packages = tuple(map(_package, root.iterfind("packages/package")))
    code = _may_follow(order, Status.SHIPPED)
    if code is Code.OK:
        code = _packed(order, packages)
    if code is Code.OK:
        order.packages = packages
        world.set_status(order, Status.SHIPPED, packages[0].tracking_number)
    return code


def _package(element: etree._Element) -> Package:
    """Assumed: `tracking_number`, `products(product(products_size_reference, quantity)*)`."""
    return Package(
        child_text(element, "tracking_number"),
        tuple(
            (child_text(product, "products_size_reference"), child_count(product, "quantity"))
            for product in element.iterfind("products/product")
        ),
    )


def _packed(order: SimulatedOrder, packages: Sequence[Package]) -> Code:
    """Whether these packages can be the order's; not all of it has to be in them."""
    items = [item for package in packages for item in package.quantities]
    if not items or not all(package.tracking_number for package in packages):
        return Code.PARAMETER_MISSING
    if not all(quantity for _, quantity in items):
        return Code.PARAMETER_MISSING
    ordered = _units((line.size_reference, line.quantity) for line in order.lines)
    return Code.OK if _units(items) <= ordered else Code.PRODUCT_NOT_FOUND


def _units(items: Iterable[tuple[str, int]]) -> Counter[str]:
    units: Counter[str] = Counter()
    for reference, quantity in items:
        units[reference] += quantity
    return units


def export_slip(world: World, account: Account, form: Form) -> Outcome:
    """`xml_export_bl`: the slip of an order with the products asked for, as link or base64."""
    root = form.xml()
    if isinstance(root, Code):
        return Outcome(root)
    order_id = child_text(root, "order_id")
    order = world.order_of(account, order_id)
    if order is None:
        missing = Code.NOT_FOUND if order_id else Code.PARAMETER_MISSING
        return Outcome(missing, order_id=order_id or None)
    code = _on_slip(order, root)
    listing = None if code is not Code.OK else slip_listing(order, _slip(world, order, form))
    return Outcome(code, listing, order_id, before=order.status, after=order.status)


def _on_slip(order: SimulatedOrder, root: etree._Element) -> Code:
    products = root.findall("products/product")
    items = [
        (child_text(product, "reference_partenaire"), child_count(product, "product_quantity"))
        for product in products
    ]
    if not all(reference for reference, _ in items):
        return Code.REFERENCE_MISSING
    if not items or not all(quantity for _, quantity in items):
        return Code.PARAMETER_MISSING
    ordered = _units((line.reference, line.quantity) for line in order.lines)
    return Code.OK if _units(items) <= ordered else Code.PRODUCT_NOT_FOUND


def _slip(world: World, order: SimulatedOrder, form: Form) -> str:
    if world.slips == "link":
        return f"{form.address}/slips/{order.id}.pdf"
    return b64encode(slip_pdf(order)).decode()
