"""A few seconds of `make chaos`: two daemons, killed, cut off and slowed."""

from pathlib import Path

import pytest

from adapters.spartoo.simulator import Simulator
from tests.chaos.campaign import campaign
from tests.chaos.figures import Figures

SEED = 112  # among its blows: daemon, database and broker killed, frozen, lines cut and lost


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:coroutine 'Connection.close' was never awaited")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <coroutine object Connection.close")
async def test_nothing_is_lost_or_doubled(simulator: Simulator, tmp_path: Path) -> None:
    figures = Figures(SEED, daemons=2)
    async with campaign(simulator, tmp_path, seed=SEED, daemons=2) as fight:
        await fight.round(7, figures)
    assert figures.kills
    assert figures.counts["orders"] > 20
