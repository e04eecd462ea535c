"""The web services: name → what it does."""

from collections.abc import Mapping
from types import MappingProxyType

from adapters.spartoo.simulator.order_services import change_order, export_orders, export_slip
from adapters.spartoo.simulator.return_services import change_return, export_returns
from adapters.spartoo.simulator.service import Service
from adapters.spartoo.simulator.stock_services import set_stock, set_stocks

SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "xml_export_orders": Service(export_orders, "statut"),
        "xml_maj_orders": Service(change_order, "errors"),
        "xml_export_bl": Service(export_slip, "errors"),
        "xml_export_returns": Service(export_returns, "statut"),
        "xml_maj_returns": Service(change_return, "errors"),
        "xml_maj_stock": Service(set_stock, "errors"),
        "xml_maj_stock_batch": Service(set_stocks, "statut"),
    }
)
