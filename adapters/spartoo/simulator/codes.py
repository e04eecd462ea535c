"""Result codes with what Spartoo says of each (web-service page, "Result codes")."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Code(IntEnum):
    """The codes that the simulated services give by themselves; faults may give any."""

    OK = 1
    KEY_MISSING = -1
    KEY_UNKNOWN = -2
    PARAMETER_MISSING = -3
    ID_OR_STATUS_MISSING = -5
    NOT_FOUND = -6
    WRONG_CHRONOLOGY = -7
    SAME_STATUS = -9
    XML_MISSING = -11
    REFERENCE_MISSING = -12
    SIZE_REFERENCE_MISSING = -13
    PRODUCT_NOT_FOUND = -14
    XML_SYNTAX = -15
    BAD_QUANTITY = -16
    SAME_STOCK = -18
    SIZE_NOT_VALID = -20
    LABEL_FILE_EMPTY = -22
    LABEL_FILE_NOT_READ = -23
    LABEL_LINK_TOO_LONG = -24
    SAME_LABEL_LINK = -25
    DEACTIVATED = -428
    TOO_MANY_CALLS = -429


CODES: Mapping[int, str] = MappingProxyType(
    {
        1: "No error",
        -1: "Parameter partenaire is missing or empty",
        -2: "This partenaire does not exist",
        -3: "A required parameter is missing",
        -5: "The id or the status is missing",
        -6: "Order or return not found",
        -7: "Wrong chronology of statuses",
        -9: "The new status is the present status",
        -11: "Parameter xml is missing or empty",
        -12: "reference_partenaire is missing",
        -13: "products_size_reference is missing",
        -14: "Product not found",
        -15: "XML syntax error",
        -16: "Stock cannot be set to this quantity",
        -18: "Stock is the same already",
        -20: "Size no longer valid, its stock is now 0",
        -22: "Label file not received",
        -23: "Label file not received",
        -24: "Label link too long",
        -25: "Label link is the present one",
        -428: "Account deactivated",
        -429: "Too many calls to this web service in the last hour",
    }
)
