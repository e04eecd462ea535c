"""Why an order waits, in plain words: the same in the console and on the command line."""

from collections.abc import Sequence

_IN_WORDS = {
    "auto_accept_off": "the connection does not accept orders automatically (auto_accept)",
    "unknown_product": "a line's reference names no product of the catalogue",
    "ambiguous_product": "a line's reference names two or more products of the catalogue",
    "out_of_stock": "the catalogue has fewer units available than were ordered",
    "price_below_threshold": "a line was sold for less than the catalogue price × the threshold",
    "no_reference_price": "a product has no price of the kind the connection compares with",
    "incomplete_address": "the address it goes to lacks a name, street, city or postcode",
    "unusual_amounts": "a line has a negative price or no unit: a voucher or correction to judge",
    "currency_mismatch": "the order and the catalogue price are in different currencies",
}


def in_words(reasons: Sequence[str]) -> list[str]:
    """Each reason as a sentence."""
    return [_IN_WORDS.get(reason, reason) for reason in reasons]
