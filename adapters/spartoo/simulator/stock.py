"""What one account has told the simulated marketplace of its stock, by size.

Orders do not move it: it shows what was set, and how often.
"""

from dataclasses import dataclass
from datetime import datetime

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.codes import Code

_MOST = 99_999


@dataclass(slots=True)
class Level:
    """The stock of one size; `told` counts the calls that set it to another quantity."""

    reference: str
    size_reference: str
    quantity: int
    retired: bool = False  # no longer valid: every quantity is answered with -20
    told: int = 0
    told_at: datetime | None = None


class Shelf:
    """One account's sizes: those of the invented catalogue, and what was added to them."""

    def __init__(self) -> None:
        self.levels = {
            v.size_reference: Level(v.model.reference, v.size_reference, v.stock)
            for v in VARIANTS.values()
        }

    def add(self, reference: str, size_reference: str) -> Level:
        """The level of that size; a new one where there is none."""
        return self.levels.setdefault(size_reference, Level(reference, size_reference, 0))

    def tell(self, reference: str, size_reference: str, quantity: str, at: datetime) -> Code:
        """Set the quantity, and say what the marketplace answers."""
        if not reference:
            return Code.REFERENCE_MISSING
        if not size_reference:
            return Code.SIZE_REFERENCE_MISSING
        level = self.levels.get(size_reference)
        if level is None or level.reference != reference:
            return Code.PRODUCT_NOT_FOUND
        if level.retired:
            level.quantity = 0
            return Code.SIZE_NOT_VALID
        if not quantity.isascii() or not quantity.isdecimal() or int(quantity) > _MOST:
            return Code.BAD_QUANTITY
        if int(quantity) == level.quantity:
            return Code.SAME_STOCK
        level.quantity, level.told, level.told_at = int(quantity), level.told + 1, at
        return Code.OK
