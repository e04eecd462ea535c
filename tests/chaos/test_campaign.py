"""`make chaos MINUTES=10 SEED=1`: crashes and faults; nothing may be lost or doubled.

With `KILLS=1000` instead of MINUTES: one campaign of nothing but SIGKILLs.
"""

import os
from pathlib import Path
from random import SystemRandom

import pytest

from adapters.spartoo.simulator import Simulator
from tests.chaos.campaign import campaign, run, run_kills
from tests.chaos.figures import Figures

KILLS = int(os.environ.get("KILLS") or 0)
MINUTES = float(os.environ.get("MINUTES") or 10)
# A client of the test's own, whose connection is lost at the moment it closes it.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine 'Connection.close' was never awaited"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <coroutine object Connection.close"),
]
SEED = int(os.environ.get("SEED") or SystemRandom().randrange(1_000_000))


@pytest.mark.skipif(KILLS > 0, reason="KILLS is another campaign")
@pytest.mark.timeout(60 * MINUTES + 600)
@pytest.mark.parametrize("size", [1, 3])
async def test_everything(simulator: Simulator, tmp_path: Path, size: int) -> None:
    """Half of the time with one daemon and one RabbitMQ node, half with three and three."""
    figures = Figures(SEED, daemons=size, nodes=size)
    async with campaign(simulator, tmp_path, seed=SEED, daemons=size, nodes=size) as fight:
        await run(fight, figures, minutes=MINUTES / 2)
    assert figures.rounds


@pytest.mark.skipif(KILLS == 0, reason="KILLS says how many")
@pytest.mark.timeout(10 * KILLS + 600)
async def test_kills(simulator: Simulator, tmp_path: Path) -> None:
    """Three daemons, PostgreSQL and RabbitMQ, about one SIGKILL a second."""
    figures = Figures(SEED, daemons=3)
    async with campaign(simulator, tmp_path, seed=SEED, daemons=3) as fight:
        await run_kills(fight, figures, kills=KILLS)
    assert figures.kills >= KILLS
