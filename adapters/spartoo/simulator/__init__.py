"""A marketplace that answers as Spartoo does, well or badly: for demos, tests and benchmarks."""

from adapters.spartoo.simulator.catalog import catalog_products
from adapters.spartoo.simulator.config import AccountConfig, SimulatorConfig
from adapters.spartoo.simulator.server import Simulator, running_simulator, serve

__all__ = [
    "AccountConfig",
    "Simulator",
    "SimulatorConfig",
    "catalog_products",
    "running_simulator",
    "serve",
]
