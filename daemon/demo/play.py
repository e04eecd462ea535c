"""Plays the demo: builds the stage, lets the daemon run, shows what arrives, and judges it."""

import asyncio
import tempfile
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import TypeVar

from daemon.demo.downstream import PENDING, Downstream, Event
from daemon.demo.failed import DemoFailed
from daemon.demo.process import DaemonProcess, daemon_process
from daemon.demo.screen import Screen
from daemon.demo.stage import Stage, built_stage
from daemon.demo.verdict import findings, is_drained, standing, summary
from daemon.settings import Settings
from daemon.supervisor import stop_on_signals, wait_or_stop

_DRAIN_SECONDS = 20.0
_BETWEEN_LOOKS = 0.3

Entered = TypeVar("Entered")


async def run_demo(settings: Settings, seconds: float | None) -> None:
    """Until Ctrl-C, or for so many seconds and then with checks. Raises DemoFailed."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    screen = Screen()
    screen.say("starting RabbitMQ, PostgreSQL and a simulated Spartoo …")
    with tempfile.TemporaryDirectory(prefix="spartoo-sync-demo-") as directory:
        async with AsyncExitStack() as stack:
            building = built_stage(settings, Path(directory))
            stage = await _entered(stack, building, stop)
            await _play(stage, screen, stop, seconds)
    screen.say(f"stopped; {directory} and everything in it is gone", "dim")


async def _entered(
    stack: AsyncExitStack, context: AbstractAsyncContextManager[Entered], stop: asyncio.Event
) -> Entered:
    """Enter the context unless stopped meanwhile. Raises DemoFailed."""
    entering = asyncio.create_task(stack.enter_async_context(context))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({entering, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not entering.done():
        entering.cancel()
        await asyncio.wait({entering})
        raise DemoFailed("stopped while starting; nothing of it is left")
    return await entering


async def _play(stage: Stage, screen: Screen, stop: asyncio.Event, seconds: float | None) -> None:
    audience = _Audience(stage, screen, unattended=seconds is not None)
    downstream = Downstream(stage.broker, audience.see)
    audience.downstream = downstream
    consuming = asyncio.create_task(downstream.consume(), name="consumer")
    try:
        log = stage.directory / "daemon.log"
        async with daemon_process(stage.config, log, screen.warn) as daemon:
            screen.introduce(stage, await daemon.url())
            await _until(stop, daemon, consuming, seconds)
            if seconds is not None and not stop.is_set():
                await _drain(stage, downstream, stop)
        if seconds is not None:
            await _judge(stage, screen, downstream)
    finally:
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)


async def _until(
    stop: asyncio.Event,
    daemon: DaemonProcess,
    consuming: asyncio.Task[None],
    seconds: float | None,
) -> None:
    """Wait for Ctrl-C or the end of the time. Raises DemoFailed when the daemon ends first."""
    stopping = asyncio.create_task(stop.wait())
    waiting = {stopping, daemon.ended, consuming}
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if daemon.ended.done():
        raise daemon.failure()
    if consuming.done():
        raise DemoFailed("the consumer lost RabbitMQ") from consuming.exception()


async def _drain(stage: Stage, downstream: Downstream, stop: asyncio.Event) -> None:
    """No more orders; wait, but not for ever, until what is under way has arrived."""
    stage.simulator.world.set_rate(0, "poisson")
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        placed = len(stage.simulator.world.orders)
        if is_drained(await standing(stage.database), placed, downstream.receipts):
            return
        if await wait_or_stop(stop, _BETWEEN_LOOKS):
            return


async def _judge(stage: Stage, screen: Screen, downstream: Downstream) -> None:
    """Show the summary. Raises DemoFailed when something is not as it must be."""
    now = await standing(stage.database)
    found = findings(now, stage, downstream.receipts)
    screen.judge([*summary(now, stage, downstream.receipts, found)], found)
    wrong = [f"{finding.wanted}: {finding.found}" for finding in found if not finding.holds]
    if wrong:
        raise DemoFailed(f"not as it must be: {'; '.join(wrong)}")


class _Audience:
    """Watches the events; where nobody is there to decide, it accepts one order itself."""

    def __init__(self, stage: Stage, screen: Screen, *, unattended: bool):
        self._stage = stage
        self._screen = screen
        self._unattended = unattended
        self._waited_for: Event | None = None
        self.downstream: Downstream | None = None

    async def see(self, routing_key: str, event: Event) -> None:
        """Show an event; the first order that waits for a person alone is the one to decide."""
        self._screen.event(routing_key, event)
        reasons = (event["data"].get("decision") or {}).get("reasons")
        waits = event["type"] == PENDING and reasons == ["auto_accept_off"]
        if not waits or self._waited_for is not None:
            return
        self._waited_for = order = event["data"]["order"]
        if not self._unattended or self.downstream is None:
            self._screen.offer(self._stage, order)
            return
        self._screen.say("  ↳ nobody is here to decide: the demo accepts it by a command", "bold")
        await self.downstream.command("order.accept", order, by="demo", reason="shown to nobody")
