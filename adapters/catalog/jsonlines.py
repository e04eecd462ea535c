"""Catalogues as JSON Lines: one product object a line, UTF-8, decimals exact."""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from adapters.catalog.lines import TOO_LONG, CountingFile, Line, LineError, physical_lines
from adapters.catalog.product import product_update
from statemachine.model import ProductUpdate


def read_json_lines(file: CountingFile) -> Iterator[ProductUpdate | LineError]:
    """Each line's product, or why it cannot be read; empty lines are passed over."""
    for line in physical_lines(file):
        if line.data.strip():
            yield _product(line)


def _product(line: Line) -> ProductUpdate | LineError:
    if line.too_long:
        return line.error(TOO_LONG)
    try:
        return product_update(_fields(line.data))
    except RecursionError:
        return line.error("nested too deep")
    except ValueError as error:
        return line.error(str(error))


def _fields(data: bytes) -> dict[str, object]:
    try:
        fields = json.loads(data.decode().rstrip(), parse_float=Decimal)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    except InvalidOperation:
        raise ValueError("holds a number beyond all bounds") from None
    if not isinstance(fields, dict):
        raise ValueError('must be one JSON object, like {"id": "10001", "stock": 5}')
    return fields
