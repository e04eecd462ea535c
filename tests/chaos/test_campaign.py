"""`make chaos MINUTES=10 SEED=1`: crashes and faults; nothing may be lost or doubled."""

import os
from pathlib import Path
from random import SystemRandom

import pytest

from adapters.spartoo.simulator import Simulator
from tests.chaos.campaign import run

MINUTES = float(os.environ.get("MINUTES") or 10)
SEED = int(os.environ.get("SEED") or SystemRandom().randrange(1_000_000))


@pytest.mark.timeout(60 * MINUTES + 600)
@pytest.mark.parametrize("daemons", [1, 3])
async def test_campaign(simulator: Simulator, tmp_path: Path, daemons: int) -> None:
    """Half of the time with one daemon, half with three."""
    figures = await run(simulator, tmp_path, seed=SEED, daemons=daemons, minutes=MINUTES / 2)
    assert figures.rounds
