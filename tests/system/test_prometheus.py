"""A real Prometheus, with our rules, scrapes a running daemon; our dashboard asks it."""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import yaml

from adapters.rabbitmq.node import free_ports
from tests.fixtures.daemon_process import Daemon
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
WITHOUT_DATA = {
    "Returns by state",
    "Moves of returns",
    "Commands",
    "Quarantine",
    "Actions waiting",
    "Wrong tokens",
}


def configuration(target: str) -> str:
    """Ours, with this target, in a hurry."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    config["rule_files"] = [str(DEPLOY / "prometheus/rules.yaml")]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    return yaml.safe_dump(config)


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[str]:
    """The URL of a Prometheus that scrapes the target; it may not answer yet."""
    program = shutil.which("prometheus")
    assert program, "prometheus is not installed: deploy/dev/checkers.sh"
    config = directory / "prometheus.yaml"
    config.write_text(configuration(target))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://{address}/api/v1"
    finally:
        process.terminate()
        process.wait(10)


class Api:
    """Prometheus' HTTP interface."""

    def __init__(self, session: aiohttp.ClientSession, url: str):
        self._session = session
        self._url = url

    async def get(self, path: str, **params: str) -> Any:
        async with self._session.get(f"{self._url}/{path}", params=params) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, query: str) -> list[Any]:
        result: list[Any] = (await self.get("query", query=query))["result"]
        return result

    async def scraped(self) -> bool:
        try:
            return [v["value"][1] for v in await self.query('up{job="spartoo-sync"}')] == ["1"]
        except aiohttp.ClientError:  # not listening, or not ready
            return False


@pytest.fixture
async def busy(system: System) -> Daemon:
    """A daemon that has polled, decided, published; one connection has a key Spartoo refuses."""
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    system.connect("nobody")
    await system.fill_catalogue(100)
    daemon = await system.run()
    orders = [*system.place("auto", 10, kind="fine"), *system.place("manual", 5)]
    wanted = {o.id: "synced" if o.account == "auto" else "pending_manual" for o in orders}
    await system.reaches(wanted)
    return daemon


@pytest.fixture
async def api(busy: Daemon, tmp_path: Path) -> AsyncIterator[Api]:
    target = urlsplit(await busy.listening()).netloc
    with prometheus(tmp_path, target) as url:
        async with aiohttp.ClientSession() as session:
            api = Api(session, url)
            await eventually(api.scraped, 30)
            yield api


async def test_rules_and_dashboard_work_on_what_is_scraped(api: Api, system: System) -> None:
    async def alarmed() -> bool:
        alerts = (await api.get("alerts"))["alerts"]
        return [a["labels"] for a in alerts if "connection" in a["labels"]] == [
            {
                "alertname": "SpartooSyncConnectionSuspended",
                "connection": "nobody",
                "severity": "critical",
            }
        ]

    await eventually(alarmed, 90)
    dashboard = json.loads((DEPLOY / "grafana/spartoo-sync.json").read_text())
    asked = {
        panel["title"]: panel["targets"][0]["expr"]
        for panel in dashboard["panels"]
        if "targets" in panel
    }

    async def without_data() -> set[str]:
        filled = {
            title: query.replace("$__rate_interval", "1m").replace("$connection", ".*")
            for title, query in asked.items()
        }
        return {title for title, query in filled.items() if not await api.query(query)}

    async def shown() -> bool:
        return await without_data() <= WITHOUT_DATA

    await eventually(shown, 90)

    async def counted() -> bool:
        states = await api.query("max by (state) (spartoo_sync_orders)")
        found = {state["metric"]["state"]: state["value"][1] for state in states}
        return found == {"synced": "10", "pending_manual": "5"}

    await eventually(counted, 90)
    rules = (await api.get("rules"))["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} == {"ok"}
