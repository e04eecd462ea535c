"""The simulator as an HTTP server: /mp as the marketplace, /control for whoever runs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Self

import structlog
from aiohttp import web
from yarl import URL

from adapters.spartoo.simulator.config import SimulatorConfig
from adapters.spartoo.simulator.control import control_app
from adapters.spartoo.simulator.counter import Counter
from adapters.spartoo.simulator.factory import Wishes
from adapters.spartoo.simulator.faults import FaultBoard
from adapters.spartoo.simulator.ledger import Ledger
from adapters.spartoo.simulator.limits import HourlyLimit
from adapters.spartoo.simulator.sending import pause, send
from adapters.spartoo.simulator.service import Form, french_names
from adapters.spartoo.simulator.services import SERVICES
from adapters.spartoo.simulator.slips import slip_pdf
from adapters.spartoo.simulator.world import Clock, UnknownOrder, World

log = structlog.get_logger(__name__)

_LARGEST_FORM = 16 << 20  # bytes


def system_time() -> datetime:
    return datetime.now(UTC)


class Simulator:
    """A simulated marketplace, listening between `start` and `close`."""

    def __init__(self, config: SimulatorConfig, now: Clock = system_time):
        self._config = config
        self.world = World(config, now)
        self.ledger = Ledger(config.ledger_size)
        self.faults = FaultBoard(config.seed, SERVICES, [a.name for a in config.accounts])
        for fault in config.faults:
            self.faults.add(fault)
        limit = HourlyLimit(config.limit_per_hour)
        self._counter = Counter(self.world, limit, self.faults, self.ledger)
        self._closing = asyncio.Event()
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1)

    @property
    def root(self) -> URL:
        """http://HOST:PORT; the port is the one taken, once started."""
        addresses = self._runner.addresses
        port = addresses[0][1] if addresses else self._config.port
        return URL.build(scheme="http", host=self._config.host, port=port)

    @property
    def url(self) -> str:
        """What a connection takes as `base_url`."""
        return str(self.root / "mp")

    @property
    def control_url(self) -> str:
        return str(self.root / "control")

    async def start(self) -> Self:
        """Place the initial orders, then listen. Raises OSError when the port is taken."""
        config = self._config
        moments = self.world.spread(config.initial_orders, config.initial_span)
        await self.world.create_many(Wishes(), moments)
        await self._runner.setup()
        await web.TCPSite(self._runner, config.host, config.port).start()
        return self

    async def close(self) -> None:
        """Stop listening; calls held up by faults end at once."""
        self._closing.set()
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_FORM)
        for service in SERVICES:
            app.router.add_post(f"/mp/{service}.php", partial(self._handle, service))
        app.router.add_get("/mp/slips/{order_id}.pdf", self._slip)
        app.add_subapp("/control", control_app(self.world, self.faults, self.ledger))
        return app

    async def _handle(self, service: str, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        plan = self._counter.plan(service, form)
        await pause(self._closing, plan.delay)
        return await send(request, self._counter.serve(service, form, plan), plan, self._closing)

    async def _slip(self, request: web.Request) -> web.Response:
        """What the link in a slip's answer leads to."""
        try:
            order = self.world.order(request.match_info["order_id"])
        except UnknownOrder:
            raise web.HTTPNotFound from None
        return web.Response(body=slip_pdf(order), content_type="application/pdf")


async def _form(request: web.Request) -> Form:
    """The form with its fields in French; empty where the body cannot be read as one."""
    try:
        posted = await request.post()
    except (ValueError, LookupError):
        return Form({})
    fields = {name: value for name, value in posted.items() if isinstance(value, str)}
    files = {
        name: value.file.read()
        for name, value in posted.items()
        if isinstance(value, web.FileField)
    }
    return Form(french_names(fields), files, str(request.url.origin() / "mp"))


@asynccontextmanager
async def running_simulator(
    config: SimulatorConfig, now: Clock = system_time
) -> AsyncIterator[Simulator]:
    """A simulator that listens while the block runs."""
    simulator = Simulator(config, now)
    try:
        yield await simulator.start()
    finally:
        await simulator.close()


async def serve(config: SimulatorConfig, stop: asyncio.Event) -> None:
    """Run until `stop` is set. Raises OSError when the port is taken."""
    async with running_simulator(config) as simulator:
        log.info("simulator listens", url=simulator.url, control=simulator.control_url)
        await stop.wait()
    log.info("simulator stopped", calls=simulator.ledger.total)
