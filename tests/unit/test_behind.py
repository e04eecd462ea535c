"""One step behind its caller: never two, and no failure is lost."""

import asyncio

import pytest

from daemon.behind import Behind


class Steps:
    """Steps that end when told; what began and what ended, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.has_begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def slow(self) -> None:
        self.seen.append("begun")
        self.has_begun.set()
        await self.may_end.wait()
        self.seen.append("ended")

    async def failing(self) -> None:
        await self.may_end.wait()
        raise ConnectionError

    async def quick(self) -> None:
        self.seen.append("quick")


async def test_the_caller_goes_on_and_the_next_step_waits() -> None:
    steps = Steps()
    async with Behind() as behind:
        await behind.do(steps.slow)
        second = asyncio.create_task(behind.do(steps.quick))
        await asyncio.sleep(0)
        assert steps.seen == ["begun"]
        steps.may_end.set()
        await second
    assert steps.seen == ["begun", "ended", "quick"]


async def test_the_block_ends_with_its_last_step() -> None:
    steps = Steps()
    async with Behind() as behind:
        await behind.do(steps.slow)
        asyncio.get_running_loop().call_soon(steps.may_end.set)
    assert steps.seen == ["begun", "ended"]


async def test_what_a_step_raises_the_next_does() -> None:
    steps = Steps()
    steps.may_end.set()
    async with Behind() as behind:
        await behind.do(steps.failing)
        with pytest.raises(ConnectionError):
            await behind.do(steps.quick)
        assert steps.seen == []
        await behind.do(steps.quick)
    assert steps.seen == ["quick"]


async def test_what_the_last_step_raises_the_block_does() -> None:
    steps = Steps()
    steps.may_end.set()
    with pytest.raises(ConnectionError):
        async with Behind() as behind:
            await behind.do(steps.failing)


async def test_a_failed_block_lets_its_step_end() -> None:
    steps = Steps()

    async def fail() -> None:
        async with Behind() as behind:
            await behind.do(steps.slow)
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(steps.may_end.set)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert steps.seen == ["begun", "ended"]


async def test_a_cancelled_block_takes_its_step_along() -> None:
    steps = Steps()

    async def wait() -> None:
        async with Behind() as behind:
            await behind.do(steps.slow)
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await steps.has_begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert steps.seen == ["begun"]
    assert len(asyncio.all_tasks()) == 1
