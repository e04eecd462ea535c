"""Group commit: together under load, apart when one is bad, in order for each subject."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.postgres.errors import DatabaseUnavailable
from daemon.together import MOST, Together


class Work:
    """Doubles numbers, one batch at a time as the gate lets it; refuses 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, key: str, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if 13 in items:
            raise ValueError("13")
        return [item * 2 for item in items]


@pytest.fixture
def work() -> Work:
    return Work()


async def asked(together: Together[str, int, int], *items: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(together.do("key", item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_is_done_in_one_go(work: Work) -> None:
    together = Together(work)
    first = await asked(together, 1)
    await asyncio.sleep(0)
    rest = await asked(together, 2, 3, 4)
    work.gate.set()
    assert await asyncio.gather(*first, *rest) == [2, 4, 6, 8]
    assert work.batches == [[1], [2, 3, 4]]


async def test_keys_do_not_wait_for_each_other(work: Work) -> None:
    together = Together(work)
    tasks = [asyncio.create_task(together.do(key, 1)) for key in ("a", "b")]
    for _ in range(3):
        await asyncio.sleep(0)
    assert work.batches == [[1], [1]]
    work.gate.set()
    assert await asyncio.gather(*tasks) == [2, 2]


async def test_no_batch_is_larger_than_most(work: Work) -> None:
    work.gate.set()
    together = Together(work)
    numbers = range(100, 100 + 2 * MOST + 1)
    assert await asyncio.gather(*await asked(together, *numbers)) == [n * 2 for n in numbers]
    assert [len(batch) for batch in work.batches] == [MOST, MOST, 1]


async def test_one_subject_is_done_in_its_order_and_never_twice_in_one_go(work: Work) -> None:
    work.gate.set()
    together = Together(work)
    items = ((1, "a"), (2, "a"), (3, "b"), (4, "a"))
    await asyncio.gather(*(together.do("key", item, subject) for item, subject in items))
    assert work.batches == [[1, 3], [2], [4]]


async def test_a_bad_one_fails_alone(work: Work) -> None:
    work.gate.set()
    together = Together(work)
    tasks = await asked(together, 1, 13, 2)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [results[0], results[2]] == [2, 4]
    assert isinstance(results[1], ValueError)


async def test_with_the_database_away_all_fail_at_once(work: Work) -> None:
    work.gate.set()
    work.error = DatabaseUnavailable("away")
    together = Together(work)
    results = await asyncio.gather(*await asked(together, 1, 2), return_exceptions=True)
    assert results == [work.error, work.error]
    assert work.batches == [[1, 2]]


@pytest.mark.parametrize("given", [0, 1, 3])
async def test_a_wrong_count_of_results_is_an_error_for_all_and_nothing_is_done_again(
    given: int,
) -> None:
    done: list[int] = []

    async def miscount(_: str, items: Sequence[int]) -> list[int]:
        done.extend(items)
        return [0] * given

    tasks = await asked(Together(miscount), 1, 2)
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert [str(result) for result in results] == [
        f"{given} results for 2 items of key: whose each is cannot be known"
    ] * 2
    assert done == [1, 2]


async def test_work_that_is_cut_off_leaves_nobody_waiting() -> None:
    async def cut_off(_: str, items: Sequence[int]) -> list[int]:
        raise asyncio.CancelledError

    tasks = await asked(Together(cut_off), 1, 2)
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_who_gives_up_takes_nobody_along(work: Work) -> None:
    together = Together(work)
    tasks = await asked(together, 1, 2)
    await asyncio.sleep(0)
    waiting = await asked(together, 3, 4)
    tasks[0].cancel()
    waiting[0].cancel()
    work.gate.set()
    await asyncio.gather(*tasks, *waiting, return_exceptions=True)
    assert [tasks[1].result(), waiting[1].result()] == [4, 8]
    assert work.batches == [[1, 2], [4]]
