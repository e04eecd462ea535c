"""Spartoo: its web services as a marketplace adapter (ports.Marketplace)."""

from adapters.spartoo.client import CHANGE_ORDER, EXPORT_ORDERS, CallReport, SpartooMarketplace
from adapters.spartoo.order import SpartooOrder
from adapters.spartoo.sites import SITES, UnknownSite

__all__ = [
    "CHANGE_ORDER",
    "EXPORT_ORDERS",
    "SITES",
    "CallReport",
    "SpartooMarketplace",
    "SpartooOrder",
    "UnknownSite",
]
