"""The API does what its document says, tried with thousands of good and bad requests."""

import asyncio
import sys
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from tests.fixtures.api import PREFIX, Api
from tests.fixtures.postgres import add_connection
from tests.integration.test_api_orders import store
from tests.integration.test_api_stock_returns import SHOES, quarantined, store_returns
from tests.unit.builders import settings

CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.timeout(600)  # a minute where nothing else runs; its examples bound it, not time
async def test_the_document_is_kept_to(api: Api, db: Database, tmp_path: Path) -> None:
    api.parts.desk.fetch_patience = 0.1
    await add_connection(db, settings(auto_accept=False))
    await store(db, "A1", "A2")
    await store_returns(db, "R1", "R2")
    await quarantined(db, SHOES, "A1")
    url = f"{api.url}{PREFIX}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFIG}", "run"),
        *(f"{url}/openapi.json", f"--url={url}", "--no-color"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
