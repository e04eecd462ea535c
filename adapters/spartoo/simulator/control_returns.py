"""The control interface for returns: what customers and the marketplace do with them."""

from typing import Any

from aiohttp import web

from adapters.spartoo.simulator.control_inputs import CreateReturn, ListReturns, SetReturnStatus
from adapters.spartoo.simulator.control_json import BadInput, body, checked, page
from adapters.spartoo.simulator.returns import SimulatedReturn
from adapters.spartoo.simulator.world import World


class ReturnControl:
    def __init__(self, world: World):
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/returns", self.list_returns),
            web.post("/returns", self.create_return),
            web.get("/returns/{return_id}", self.show_return),
            web.post("/returns/{return_id}/status", self.set_status),
        ]

    async def list_returns(self, request: web.Request) -> web.Response:
        query = checked(ListReturns, dict(request.query))
        matching = (
            one
            for one in self._world.returns.by_id.values()
            if one.number > query.after
            and query.account in (None, one.account)
            and query.order_id in (None, one.order_id)
            and query.status in (None, one.status)
        )
        return page(matching, query.limit, return_json)

    async def create_return(self, request: web.Request) -> web.Response:
        wanted = checked(CreateReturn, await body(request))
        self._world.catch_up()
        order = self._world.order(wanted.order_id)
        if wanted.line > len(order.lines):
            raise BadInput(f"line: the order has {len(order.lines)}")
        at = wanted.requested_at
        made = self._world.create_return(
            order, wanted.wishes(), None if at is None else self._world.zone_time(at)
        )
        return web.json_response(return_json(made), status=201)

    async def show_return(self, request: web.Request) -> web.Response:
        return web.json_response(return_json(self._return(request)))

    async def set_status(self, request: web.Request) -> web.Response:
        found = self._return(request)
        found.status = checked(SetReturnStatus, await body(request)).status
        return web.json_response(return_json(found))

    def _return(self, request: web.Request) -> SimulatedReturn:
        return self._world.returns.get(request.match_info["return_id"])


def return_json(one: SimulatedReturn) -> dict[str, Any]:
    """A return as the control interface shows it; of a label file its size in bytes."""
    return {
        "number": one.number,
        "return_id": one.id,
        "account": one.account,
        "order_id": one.order_id,
        "status": int(one.status),
        "reason": one.reason,
        "requested_at": one.requested_at.isoformat(),
        "size_reference": one.line.size_reference,
        "label_link": one.label_link,
        "label_file_size": len(one.label_file),
    }
