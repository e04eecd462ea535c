"""Result codes of the web services → what the caller should do.

Source: web-service page, "Result codes".
"""

from collections.abc import Callable
from typing import NamedTuple

from adapters.ports import (
    AccountRejected,
    MarketplaceError,
    NotFound,
    Rejected,
    Throttled,
    TransportFault,
    WrongChronology,
)


class _Meaning(NamedTuple):
    text: str
    error: Callable[[str, int], MarketplaceError] | None  # None: the call did what was asked


def _bad_key(message: str, code: int) -> MarketplaceError:
    return AccountRejected(message, code=code, reason="bad_key")


def _deactivated(message: str, code: int) -> MarketplaceError:
    return AccountRejected(message, code=code, reason="deactivated")


def _throttled(message: str, code: int) -> MarketplaceError:
    return Throttled(message, code=code)


def _not_found(message: str, code: int) -> MarketplaceError:
    return NotFound(message, code=code)


def _wrong_chronology(message: str, code: int) -> MarketplaceError:
    return WrongChronology(message, code=code)


def _rejected(message: str, code: int) -> MarketplaceError:
    return Rejected(message, code=code)


def _our_bug(message: str, code: int) -> MarketplaceError:
    return Rejected(f"{message}; this is a fault of ours, please report it", code=code)


def _transient(message: str, code: int) -> MarketplaceError:
    return TransportFault(message, code=code)


_MEANINGS: dict[int, _Meaning] = {
    1: _Meaning("no error", None),
    -1: _Meaning("the API key is missing; enter it in the connection", _bad_key),
    -2: _Meaning("the API key is not known there; enter the right one", _bad_key),
    -3: _Meaning("a required parameter is missing", _our_bug),
    -5: _Meaning("the order, the return or the status is missing", _our_bug),
    -6: _Meaning("order or return not found", _not_found),
    -7: _Meaning("the new status may not follow the present one", _wrong_chronology),
    -9: _Meaning("the new status equals the present one", None),
    -11: _Meaning("parameter xml missing or empty", _our_bug),
    -12: _Meaning("reference_partenaire missing", _rejected),
    -13: _Meaning("products_size_reference missing", _rejected),
    -14: _Meaning("product not found", _rejected),
    -15: _Meaning("XML syntax error in what was sent", _our_bug),
    -16: _Meaning("stock cannot be set to that quantity", _rejected),
    -18: _Meaning("stock is the same already", None),
    -20: _Meaning("size no longer valid, its stock is now 0", _rejected),
    -22: _Meaning("label file not received", _transient),
    -23: _Meaning("label file not received", _transient),
    -24: _Meaning("label link too long", _rejected),
    -25: _Meaning("label link same as the present one", None),
    -428: _Meaning("account deactivated; ask Spartoo to open it again", _deactivated),
    -429: _Meaning("too many calls in the last hour; waiting", _throttled),
}
_UNKNOWN = _Meaning("unknown result code", _rejected)


def error_for(code: int, description: str) -> MarketplaceError | None:
    """What a result code means for the caller; None when it is a success.

    A code that is neither 1 nor negative leaves the outcome unknown: TransportFault.
    """
    if code >= 0 and code != 1:
        return TransportFault(f"result code {code}, which is not documented", code=code)
    meaning = _MEANINGS.get(code, _UNKNOWN)
    if meaning.error is None:
        return None
    told = f' ("{description[:200]}")' if description else ""
    return meaning.error(f"{code}: {meaning.text}{told}", code)


def code_label(code: int | None) -> str:
    """A result code for a metric's label: one of a bounded set."""
    return str(code) if code in _MEANINGS else "none" if code is None else "other"
