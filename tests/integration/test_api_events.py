"""The event log over HTTP: in order, resumed anywhere, nothing lost and nothing twice."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse, ClientTimeout
from structlog.testing import capture_logs

from adapters.postgres import events
from adapters.postgres.database import Database
from daemon.api import events as api_events
from daemon.event_log import LogReader
from daemon.settings import Settings
from statemachine.changes import Event, EventType
from statemachine.model import ConnectionId
from tests.fixtures.api import PREFIX, Api, serving
from tests.fixtures.postgres import eventually, may_stand_idle

SHOES = ConnectionId("shoes-fr")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event(subject: str, **data: object) -> Event:
    source = f"/spartoo/{SHOES}"
    return Event(EventType.ORDER_NEW, source, subject, NOW, data, SHOES, order_id=subject)


async def append(db: Database, *subjects: str) -> None:
    async with db.transaction() as tx:
        await events.append(tx, [event(subject) for subject in subjects])


class Follower:
    """Reads a stream as a browser does."""

    def __init__(self, response: ClientResponse):
        self.response = response
        self.last_id = ""

    async def next(self) -> dict[str, Any]:
        """The next event's data."""
        fields: dict[str, str] = {}
        while line := await asyncio.wait_for(self.response.content.readline(), 10):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                data: dict[str, Any] = orjson.loads(fields["data"])
                assert fields["id"] == str(data["position"])
                assert data["type"] == f"spartoo.{fields['event']}.v1"
                self.last_id = fields["id"]
                return data
            else:
                fields = {}
        raise EOFError

    async def subjects(self, count: int) -> list[str]:
        return [(await self.next())["subject"] for _ in range(count)]


@asynccontextmanager
async def follow(api: Api, query: str = "", **headers: str) -> AsyncIterator[Follower]:
    url = f"{api.url}{PREFIX}/events/stream{query}"
    async with api.session.get(url, headers=headers, timeout=ClientTimeout()) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        yield Follower(response)


async def test_the_log_is_paged_by_position(api: Api, db: Database) -> None:
    await append(db, "a", "b", "c")
    first = (await api.get("/events", limit=2)).json
    assert [item["subject"] for item in first["items"]] == ["a", "b"]
    assert first["next"] == str(first["items"][1]["position"])
    rest = (await api.get("/events", after=first["next"], limit=2)).json
    assert ([item["subject"] for item in rest["items"]], rest["next"]) == (["c"], None)
    assert (await api.get("/events", after=2**63 - 1)).json["items"] == []


@pytest.mark.parametrize("query", ["after=-1", f"after={2**63}", "after=x", "limit=201", "type=a"])
@pytest.mark.parametrize("path", ["/events", "/events/stream"])
async def test_a_bad_position_is_named(api: Api, path: str, query: str) -> None:
    got = await api.get(f"{path}?{query}")
    assert got.refusal == (400, "bad_command")
    assert got.json["detail"].startswith(query.partition("=")[0])


async def test_a_bad_last_event_id_is_named(api: Api) -> None:
    got = await api.ask("GET", "/events/stream", headers={"Last-Event-ID": "x"})
    assert got.refusal == (400, "bad_command")
    assert got.json["detail"].startswith("Last-Event-ID: ")


async def test_pages_never_pass_what_may_be_committed_late(
    api: Api, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_events, "PATIENCE", 0.1)
    async with db.connection() as conn:
        late = conn.transaction()
        await late.start()
        await events.append(conn, [event("late")])
        await append(db, "early")
        assert (await api.get("/events")).json == {"items": [], "next": "0"}
        await late.commit()
    page = (await api.get("/events")).json
    assert [item["subject"] for item in page["items"]] == ["late", "early"]


async def test_a_stream_gives_late_commits_in_their_place_and_passes_what_was_given_up(
    api: Api, db: Database
) -> None:
    async with follow(api, "?after=0") as follower, db.connection() as conn:
        late = conn.transaction()
        await late.start()
        await may_stand_idle(conn)
        await events.append(conn, [event("late")])
        await append(db, "early")
        async with db.connection() as other:
            reader = LogReader(0)
            assert await reader.read(other, 10) == []
            assert reader.waits
        await late.commit()
        assert await follower.subjects(2) == ["late", "early"]
        given_up = conn.transaction()
        await given_up.start()
        await events.append(conn, [event("given up")])
        await append(db, "kept")
        await given_up.rollback()
        assert await follower.subjects(1) == ["kept"]


async def test_a_stream_begins_with_what_comes(api: Api, db: Database) -> None:
    await append(db, "before")
    async with follow(api) as follower:
        await append(db, "after")
        assert await follower.subjects(1) == ["after"]


async def test_a_stream_is_resumed_behind_the_last_event(api: Api, db: Database) -> None:
    await append(db, "a", "b", "c")
    async with follow(api, "?after=0") as follower:
        assert await follower.subjects(2) == ["a", "b"]
    resumed = {"Last-Event-ID": follower.last_id}
    async with follow(api, "?after=0", **resumed) as follower:
        assert await follower.subjects(1) == ["c"]


async def test_many_writers_and_followers_that_come_and_go(api: Api, db: Database) -> None:
    """Every event once and in order, whatever commits late, is given up or breaks off."""
    chance = random.Random(7)
    written: list[str] = []

    async def write(writer: int) -> None:
        for number in range(30):
            subject = f"{writer}-{number}"
            keep = chance.random() < 0.8
            with contextlib.suppress(ZeroDivisionError):
                async with db.transaction() as tx:
                    await events.append(tx, [event(subject)])
                    await asyncio.sleep(chance.random() / 100)
                    if not keep:
                        raise ZeroDivisionError
                written.append(subject)

    async def read() -> list[str]:
        seen: list[str] = []
        last_id = "0"
        while "end" not in seen:
            async with follow(api, **{"Last-Event-ID": last_id}) as follower:
                for _ in range(chance.randint(1, 40)):
                    seen.append((await follower.next())["subject"])
                    last_id = follower.last_id
                    if seen[-1] == "end":
                        break
        return seen

    readers = [asyncio.ensure_future(read()) for _ in range(3)]
    await asyncio.gather(*map(write, range(6)))
    await append(db, "end")
    async with db.connection() as conn:
        logged = [entry.subject for entry in await events.after(conn, 0, 1000)]
    assert set(logged) == {*written, "end"}
    assert len(written) < 180
    for reader in readers:
        assert await asyncio.wait_for(reader, 30) == logged


async def test_a_stream_goes_on_after_an_outage(api: Api, db: Database, database_url: str) -> None:
    async with follow(api, "?after=0") as follower:
        await append(db, "a")
        assert await follower.subjects(1) == ["a"]
        other = await Database.open(database_url)
        async with other.connection() as conn:
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        await append(other, "b")
        await other.close()
        assert await follower.subjects(1) == ["b"]


async def test_a_stop_ends_every_stream(db: Database, tmp_path: Path) -> None:
    stop = asyncio.Event()
    given = Settings(state_dir=tmp_path)
    async with serving(given, db, stop) as api, follow(api) as one, follow(api) as another:
        stop.set()
        for follower in (one, another):
            with pytest.raises(EOFError):
                await follower.next()


def serving_tasks() -> int:
    """Requests that are being handled in this process."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return names.count("RequestHandler.start")


async def none_served() -> bool:
    return serving_tasks() == 0


async def test_only_so_many_streams_are_open_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_events, "MOST_STREAMS", 2)
    async with follow(api):
        async with follow(api):
            refused = await api.get("/events/stream")
            assert refused.refusal == (503, "too_many_streams")
            assert int(refused.headers["Retry-After"]) > 0

        async def room() -> bool:
            async with api.session.get(f"{api.url}{PREFIX}/events/stream") as response:
                return response.status == 200

        await eventually(room)


async def test_a_client_that_goes_leaves_nothing_behind(api: Api) -> None:
    async with follow(api) as follower:
        assert serving_tasks() == 1
        follower.response.close()
    await eventually(none_served)


async def test_a_client_that_does_not_read_is_let_go_and_costs_no_memory(
    api: Api, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_events, "_WRITE_SECONDS", 0.5)
    async with db.transaction() as tx:
        for batch in range(30):
            large = [event(f"{batch}-{n}", text="x" * 20_000) for n in range(100)]
            await events.append(tx, large)
    before = resident()
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client, capture_logs() as logs:
        client.sendall(
            f"GET {PREFIX}/events/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )

        async def let_go() -> bool:
            return any(entry["event"] == "event stream ended" for entry in logs)

        await eventually(let_go)
        grown = resident() - before
    await eventually(none_served)
    assert grown < 40_000_000, "the log has 60 MB"


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
