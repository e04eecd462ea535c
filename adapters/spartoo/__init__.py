"""Spartoo: its web services as a marketplace adapter (ports.Marketplace)."""

from adapters.spartoo.calls import CallReport
from adapters.spartoo.client import CHANGE_ORDER, SpartooMarketplace
from adapters.spartoo.label import check_label
from adapters.spartoo.order import SpartooOrder
from adapters.spartoo.rma import SpartooReturn
from adapters.spartoo.sites import SITES, UnknownSite

__all__ = [
    "CHANGE_ORDER",
    "SITES",
    "CallReport",
    "SpartooMarketplace",
    "SpartooOrder",
    "SpartooReturn",
    "UnknownSite",
    "check_label",
]
