"""Runs inside every daemon of a campaign: SIGUSR1 has its tasks written to CHAOS_TASKS."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path


def _write(*_: object) -> None:
    """Tasks by the first word of their name."""
    names = Counter(task.get_name().partition(" ")[0] for task in asyncio.all_tasks())
    path = Path(os.environ["CHAOS_TASKS"])
    written = path.with_suffix(".new")
    written.write_text(json.dumps(names))
    written.replace(path)


if "CHAOS_TASKS" in os.environ:
    signal.signal(signal.SIGUSR1, _write)
