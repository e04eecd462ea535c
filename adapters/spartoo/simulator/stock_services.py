"""The web services for stock."""

from lxml import etree

from adapters.spartoo.simulator.codes import Code
from adapters.spartoo.simulator.service import Form, Outcome, child_text
from adapters.spartoo.simulator.world import Account, World
from adapters.spartoo.simulator.xml import ProductResult, product_listing


def set_stock(world: World, account: Account, form: Form) -> Outcome:
    """`xml_maj_stock`: the quantity of one size."""
    code = account.shelf.tell(
        form.get("reference_partenaire"),
        form.get("products_size_reference"),
        form.get("products_quantity"),
        world.now(),
    )
    return Outcome(code)


def set_stocks(world: World, account: Account, form: Form) -> Outcome:
    """`xml_maj_stock_batch`: the quantities of many sizes, each product answered with a code."""
    root = form.xml()
    if isinstance(root, Code):
        return Outcome(root)
    results = [_set_product(world, account, one) for one in root.iterfind("products/product")]
    return Outcome(Code.OK, product_listing(results))


def _set_product(world: World, account: Account, product: etree._Element) -> ProductResult:
    """Assumed: sizes are set one by one; the first that is refused gives the product its code."""
    reference = child_text(product, "reference_partenaire")
    codes = [
        account.shelf.tell(
            reference,
            child_text(size, "size_reference"),
            child_text(size, "size_quantity"),
            world.now(),
        )
        for size in product.iterfind("size_list/size")
    ]
    refused = [code for code in codes if code not in (Code.OK, Code.SAME_STOCK)]
    if refused or not codes:
        return ProductResult(reference, refused[0] if refused else Code.SIZE_REFERENCE_MISSING)
    return ProductResult(reference, Code.OK if Code.OK in codes else Code.SAME_STOCK)
