"""Catalogue files: CSV, JSON Lines and XML, read as streams of products."""

from adapters.catalog.lines import LineError, UnreadableCatalog
from adapters.catalog.product import product_update
from adapters.catalog.reader import read_catalog

__all__ = ["LineError", "UnreadableCatalog", "product_update", "read_catalog"]
