"""The control interface under /control: JSON, for demos and tests, unknown to real Spartoo."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from adapters.spartoo.simulator.catalog import catalog_products, format_cents
from adapters.spartoo.simulator.control_inputs import (
    AmendOrder,
    CreateOrders,
    ListCalls,
    ListOrders,
    SetAccount,
    SetRate,
    SetStatus,
)
from adapters.spartoo.simulator.control_json import BadInput, body, checked, explained, page
from adapters.spartoo.simulator.control_returns import ReturnControl
from adapters.spartoo.simulator.control_stock import StockControl
from adapters.spartoo.simulator.fault_kinds import AnyFault
from adapters.spartoo.simulator.faults import FaultBoard, UnknownScope
from adapters.spartoo.simulator.ledger import Call, Ledger
from adapters.spartoo.simulator.orders import SimulatedOrder
from adapters.spartoo.simulator.returns import DuplicateReturn, UnknownReturn
from adapters.spartoo.simulator.world import DuplicateOrder, UnknownAccount, UnknownOrder, World

_FAULT: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)


def control_app(world: World, faults: FaultBoard, ledger: Ledger) -> web.Application:
    """The sub-application to mount at /control."""
    control = _Control(world, faults, ledger)
    app = web.Application(middlewares=[_errors_as_json])
    app.add_routes(
        [
            web.get("/orders", control.list_orders),
            web.post("/orders", control.create_orders),
            web.get("/orders/{order_id}", control.show_order),
            web.patch("/orders/{order_id}", control.amend_order),
            web.post("/orders/{order_id}/status", control.set_status),
            web.get("/faults", control.list_faults),
            web.post("/faults", control.add_fault),
            web.delete("/faults", control.clear_faults),
            web.post("/accounts/{account}", control.set_account),
            web.post("/rate", control.set_rate),
            web.get("/ledger", control.list_calls),
            web.get("/summary", control.summary),
            web.get("/catalog", control.catalog),
            *ReturnControl(world).routes(),
            *StockControl(world).routes(),
        ]
    )
    return app


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (BadInput, UnknownScope) as error:
        return web.json_response({"error": str(error)}, status=400)
    except (UnknownAccount, UnknownOrder, UnknownReturn) as error:
        return web.json_response({"error": str(error)}, status=404)
    except (DuplicateOrder, DuplicateReturn) as error:
        return web.json_response({"error": str(error)}, status=409)


class _Control:
    def __init__(self, world: World, faults: FaultBoard, ledger: Ledger):
        self._world = world
        self._faults = faults
        self._ledger = ledger

    async def list_orders(self, request: web.Request) -> web.Response:
        self._world.catch_up()
        query = checked(ListOrders, dict(request.query))
        matching = (
            order
            for order in self._world.orders.values()
            if order.number > query.after
            and query.account in (None, order.account)
            and query.status in (None, order.status)
            and query.kind in (None, order.kind)
        )
        return page(matching, query.limit, order_json)

    async def create_orders(self, request: web.Request) -> web.Response:
        wanted = checked(CreateOrders, await body(request))
        if wanted.order_id is not None and wanted.count > 1:
            raise BadInput("order_id: only with count 1")
        at = None if wanted.purchased_at is None else self._world.zone_time(wanted.purchased_at)
        made = await self._world.create_many(wanted.wishes(), [at] * wanted.count)
        return web.json_response({"order_ids": [order.id for order in made]}, status=201)

    async def show_order(self, request: web.Request) -> web.Response:
        return web.json_response(order_json(self._order(request)))

    async def amend_order(self, request: web.Request) -> web.Response:
        order = self._order(request)
        wanted = checked(AmendOrder, await body(request))
        self._world.amend(
            order,
            billing=wanted.billing.amended(order.billing) if wanted.billing else None,
            delivery=wanted.delivery.amended(order.delivery) if wanted.delivery else None,
            lines=tuple(line.line() for line in wanted.lines) if wanted.lines else None,
        )
        return web.json_response(order_json(order))

    async def set_status(self, request: web.Request) -> web.Response:
        order = self._order(request)
        wanted = checked(SetStatus, await body(request))
        self._world.set_status(order, wanted.status, wanted.tracking_number)
        return web.json_response(order_json(order))

    async def list_faults(self, _request: web.Request) -> web.Response:
        items = [
            fault.model_dump(exclude_none=True) | {"left": left}
            for fault, left in self._faults.in_force()
        ]
        return web.json_response({"items": items})

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = _FAULT.validate_python(await body(request))
        except ValidationError as error:
            raise BadInput(explained(error)) from error
        self._faults.add(fault)
        return web.json_response(fault.model_dump(exclude_none=True), status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({"items": []})

    async def set_account(self, request: web.Request) -> web.Response:
        account = self._world.account(request.match_info["account"])
        account.active = checked(SetAccount, await body(request)).active
        return web.json_response({"name": account.name, "active": account.active})

    async def set_rate(self, request: web.Request) -> web.Response:
        wanted = checked(SetRate, await body(request))
        self._world.set_rate(wanted.rate, wanted.pattern)
        return web.json_response(wanted.model_dump())

    async def list_calls(self, request: web.Request) -> web.Response:
        query = checked(ListCalls, dict(request.query))
        matching = (
            call
            for call in self._ledger.after(query.after)
            if query.service in (None, call.service)
            and query.order_id in (None, call.order_id)
            and query.return_id in (None, call.return_id)
        )
        return page(matching, query.limit, Call.as_json)

    async def summary(self, _request: web.Request) -> web.Response:
        self._world.catch_up()
        counts = self._world.count_by_status()
        accounts = {
            account.name: {
                "active": account.active,
                "orders": len(account.by_date),
                "by_status": {str(int(s)): n for s, n in sorted(counts[account.name].items())},
            }
            for account in self._world.accounts
        }
        return web.json_response(
            {
                "orders": len(self._world.orders),
                "calls": self._ledger.total,
                "rate": self._world.arrivals.rate,
                "pattern": self._world.arrivals.pattern,
                "accounts": accounts,
            }
        )

    async def catalog(self, _request: web.Request) -> web.Response:
        return web.json_response({"products": catalog_products()})

    def _order(self, request: web.Request) -> SimulatedOrder:
        self._world.catch_up()
        return self._world.order(request.match_info["order_id"])


def order_json(order: SimulatedOrder) -> dict[str, Any]:
    """An order as the control interface shows it; money as text, times ISO 8601 with offset."""
    return {
        "number": order.number,
        "order_id": order.id,
        "account": order.account,
        "kind": order.kind,
        "status": int(order.status),
        "tracking_number": order.tracking_number,
        "packages": [
            {"tracking_number": package.tracking_number, "quantities": dict(package.quantities)}
            for package in order.packages
        ],
        "purchased_at": order.purchased_at.isoformat(),
        "last_modified": order.modified,
        "total": format_cents(order.total),
        "shipping_name": order.shipping_name,
        "billing": asdict(order.billing),
        "delivery": asdict(order.delivery),
        "relay": None if order.relay is None else asdict(order.relay),
        "lines": [
            {
                "reference": line.reference,
                "size_reference": line.size_reference,
                "name": line.name,
                "quantity": line.quantity,
                "unit_price": format_cents(line.unit_price),
                "unit_price_discounted": format_cents(line.unit_price_reduced),
            }
            for line in order.lines
        ],
    }
