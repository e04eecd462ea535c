"""Quantities for the marketplace: batches of products, and what each product is answered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from adapters.ports import (
    AccountRejected,
    MarketplaceError,
    StockLevel,
    Throttled,
    TransportFault,
)
from adapters.spartoo.answer import Answer, answers_in, find_result
from adapters.spartoo.element import field_text
from adapters.spartoo.errors import error_for
from adapters.spartoo.sending import add, as_text

PRODUCTS_PER_BATCH = 500
SIZES_PER_BATCH = 5000


@dataclass(frozen=True, slots=True)
class StockBatch:
    """Products of one call: reference → its sizes, each with its place in what was given."""

    products: Mapping[str, Sequence[tuple[int, StockLevel]]]

    def xml(self) -> str:
        """The field `xml`."""
        root = etree.Element("catalogue")
        products = add(root, "products")
        for reference, levels in self.products.items():
            product = add(products, "product")
            add(product, "reference_partenaire", reference)
            sizes = add(product, "size_list")
            for _, level in levels:
                size = add(sizes, "size")
                add(size, "size_reference", level.size_reference)
                add(size, "size_quantity", str(level.quantity))
        return as_text(root)

    def read(self, root: etree._Element) -> tuple[Answer, dict[int, str | None]]:
        """The code of the call, and per place None when taken, else why not.

        Assumed: the code outside the products speaks of those without an answer of their own; a
        code that concerns the account speaks of the call wherever it stands. Takes `root` apart.
        """
        answers = self._take_answers(root)
        whole = find_result(root)
        if whole.code is None and not answers:
            raise TransportFault("XML without a result code")
        silent = "not answered by the marketplace" if answers else None
        unanswered = _reason(whole) or silent
        reasons = {
            index: _reason(answers[reference]) if reference in answers else unanswered
            for reference, levels in self.products.items()
            for index, _ in levels
        }
        return next(filter(_is_for_account, answers.values()), whole), reasons

    def _take_answers(self, root: etree._Element) -> dict[str, Answer]:
        """Reference → the product's answer. Assumed: without references they keep our order."""
        elements = list(root.iter("product"))
        names = [field_text(element.iter("reference_partenaire")) for element in elements]
        if not any(names) and len(names) == len(self.products):
            names = list(self.products)
        answers: dict[str, Answer] = {}
        for name, element in zip(names, elements, strict=True):
            found = [*answers_in(element), *filter(None, [answers.get(name)])]
            if found:
                answers[name] = next(filter(_error, found), found[0])
            if (parent := element.getparent()) is not None:
                parent.remove(element)
        return answers


def stock_batches(levels: Sequence[StockLevel]) -> Iterator[StockBatch]:
    """Batches of products; a level that lacks a reference is in none.

    Raises ValueError for a negative quantity.
    """
    products: dict[str, list[tuple[int, StockLevel]]] = {}
    for index, level in enumerate(levels):
        if level.quantity < 0:
            raise ValueError(f"stock of {level.size_reference} is {level.quantity}, below 0")
        if level.reference and level.size_reference:
            products.setdefault(level.reference, []).append((index, level))
    batch: dict[str, list[tuple[int, StockLevel]]] = {}
    sizes = 0
    for reference, found in products.items():
        if batch and (len(batch) == PRODUCTS_PER_BATCH or sizes + len(found) > SIZES_PER_BATCH):
            yield StockBatch(batch)
            batch, sizes = {}, 0
        batch[reference] = found
        sizes += len(found)
    if batch:
        yield StockBatch(batch)


def _error(answer: Answer) -> MarketplaceError | None:
    return None if answer.code is None else error_for(answer.code, answer.description)


def _reason(answer: Answer) -> str | None:
    error = _error(answer)
    return None if error is None else error.message


def _is_for_account(answer: Answer) -> bool:
    return isinstance(_error(answer), AccountRejected | Throttled)
