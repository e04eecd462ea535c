"""Runs the daemon's named tasks; one that ends by itself stops all of them, with its name."""

import asyncio
import signal
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 6.0  # of the ten that a stop may take

Work = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
Result = TypeVar("Result")


class TaskEnded(Exception):
    """A task of the daemon ended although nobody asked it to."""


async def wait_or_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so many seconds or until the stop event; True when stopping."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel what still runs and return once it has ended: nothing outlives its owner."""
    ending = [*tasks]
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT ask for a graceful stop; a second one leaves at once."""
    loop = asyncio.get_running_loop()

    def ask(signum: int) -> None:
        if stop.is_set():
            log.warning("left at once", signal=signal.Signals(signum).name)
            raise SystemExit(1)
        log.info("stopping", signal=signal.Signals(signum).name)
        stop.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ask, signum)


async def unless_stopped(
    work: Coroutine[Any, Any, Result],
    stop: asyncio.Event,
    beside: Collection[asyncio.Task[None]] = (),
) -> Result | None:
    """What the work gives; None, and the work given up, when stopping first.

    Raises TaskEnded when one of the tasks `beside` it ended or failed before.
    """
    working = asyncio.create_task(work, name="starting")
    watch = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({working, watch, *beside}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        for task in beside:
            if task.done() and not stop.is_set():
                raise _ended(task)
        return None
    finally:
        for waiting in (working, watch):
            waiting.cancel()
        await asyncio.gather(working, watch, return_exceptions=True)


async def supervise(
    work: Mapping[str, Work], stop: asyncio.Event, beside: Collection[asyncio.Task[None]] = ()
) -> None:
    """Run every task until `stop`; then give them DRAIN_SECONDS to finish what is in hand.

    Raises TaskEnded, its cause kept, when a task ended or failed before, or one of those that run
    `beside` them: these are begun before, and ended after, by their owner.
    """
    tasks = {asyncio.create_task(run(stop), name=name) for name, run in work.items()}
    watch = asyncio.create_task(stop.wait(), name="stop")
    try:
        done, _ = await asyncio.wait({*tasks, *beside, watch}, return_when=asyncio.FIRST_COMPLETED)
        early = next((task for task in done if task is not watch), None)
        unasked = early is not None and not stop.is_set()
        stop.set()
        _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        if late:
            log.warning("tasks cancelled", tasks=sorted(task.get_name() for task in late))
        if early is not None and unasked:
            raise _ended(early)
    finally:
        watch.cancel()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, watch, return_exceptions=True)
        _report([*results, *(task.exception() for task in beside if _over(task))])


def _over(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled()


def _ended(task: asyncio.Task[Any]) -> TaskEnded:
    ended = TaskEnded(f"task {task.get_name()} ended unexpectedly")
    ended.__cause__ = None if task.cancelled() else task.exception()
    return ended


def _report(results: Sequence[object]) -> None:
    for result in results:
        if isinstance(result, Exception):
            log.error("task failed", error=str(result), exc_info=result)
