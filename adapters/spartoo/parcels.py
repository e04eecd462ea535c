"""Several parcels of one order, for accounts with multi-package shipping."""

from collections import Counter
from collections.abc import Sequence

from lxml import etree

from adapters.spartoo.sending import add, as_text
from statemachine.model import Line, OrderId, Shipment


def packages_xml(order_id: OrderId, shipments: Sequence[Shipment], lines: Sequence[Line]) -> str:
    """The field `xml` that names each package's tracking number and products.

    Assumed, as the exact tags are not public: `root(order_id, packages(package(tracking_number,
    products(product(products_size_reference, quantity)*))*))`.
    """
    references = {line.line: line.size_reference or line.reference for line in lines}
    root = etree.Element("root")
    add(root, "order_id", order_id)
    packages = add(root, "packages")
    for shipment in shipments:
        package = add(packages, "package")
        add(package, "tracking_number", shipment.tracking_number)
        _add_products(package, shipment, references)
    return as_text(root)


def _add_products(package: etree._Element, shipment: Shipment, references: dict[int, str]) -> None:
    quantities: Counter[str] = Counter()
    for item in shipment.items:
        quantities[references[item.line]] += item.quantity
    products = add(package, "products")
    for reference, quantity in quantities.items():
        product = add(products, "product")
        add(product, "products_size_reference", reference)
        add(product, "quantity", str(quantity))
