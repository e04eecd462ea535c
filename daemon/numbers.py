"""Numbers of JSON and TOML, taken exactly: money is among them."""

from decimal import Decimal, InvalidOperation

_MOST_PLACES = 400  # before or after the point; binary floats print no more


def exact_number(text: str) -> Decimal:
    """As it is written. Raises ValueError beyond all bounds: as a whole number it would not end."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = None
    if number is None or abs(number.adjusted()) > _MOST_PLACES:
        raise ValueError("a number beyond all bounds")
    return number
