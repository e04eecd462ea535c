"""The control interface for stock: what an account told, and sizes that are no longer valid."""

from typing import Any

from aiohttp import web

from adapters.spartoo.simulator.control_inputs import ListStock, SetStock
from adapters.spartoo.simulator.control_json import BadInput, body, checked
from adapters.spartoo.simulator.stock import Level
from adapters.spartoo.simulator.world import World


class StockControl:
    def __init__(self, world: World):
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/stock", self.list_stock), web.post("/stock", self.set_stock)]

    async def list_stock(self, request: web.Request) -> web.Response:
        query = checked(ListStock, dict(request.query))
        levels = self._world.account(query.account).shelf.levels.values()
        items = [
            level_json(level)
            for level in levels
            if query.size_reference in (None, level.size_reference)
            and (level.told or not query.told)
        ]
        return web.json_response({"items": items})

    async def set_stock(self, request: web.Request) -> web.Response:
        wanted = checked(SetStock, await body(request))
        shelf = self._world.account(wanted.account).shelf
        if wanted.size_reference not in shelf.levels and wanted.reference is None:
            raise BadInput("reference: needed for a size that is not in the catalogue")
        level = shelf.add(wanted.reference or "", wanted.size_reference)
        level.quantity = level.quantity if wanted.quantity is None else wanted.quantity
        level.retired = level.retired if wanted.retired is None else wanted.retired
        return web.json_response(level_json(level))


def level_json(level: Level) -> dict[str, Any]:
    """The stock of one size; `told` counts the calls that changed it."""
    return {
        "reference": level.reference,
        "size_reference": level.size_reference,
        "quantity": level.quantity,
        "retired": level.retired,
        "told": level.told,
        "told_at": None if level.told_at is None else level.told_at.isoformat(),
    }
