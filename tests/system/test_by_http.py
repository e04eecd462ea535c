"""A running daemon driven over HTTP: what is asked there happens on the marketplace."""

from typing import Any

import orjson
from aiohttp import ClientSession, ClientTimeout

from adapters.spartoo.simulator.orders import Status
from tests.fixtures.daemon_process import STOP_SECONDS
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

TOKEN = "a token for this test"


class Visitor:
    """Asks one daemon, with its token."""

    def __init__(self, session: ClientSession, url: str):
        self._session = session
        self._url = f"{url}/api/v1"

    async def ask(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        url = self._url + path
        async with self._session.request(method, url, json=body or None) as response:
            return response.status, await response.json(content_type=None)

    async def followed(self, subject: str, last: str) -> list[str]:
        """The types of a subject's events, up to the last one wanted."""
        seen: list[str] = []
        url = f"{self._url}/events/stream?after=0"
        async with self._session.get(url, timeout=ClientTimeout(30)) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    event = orjson.loads(line.removeprefix(b"data: "))
                    if event["subject"] == subject:
                        seen.append(event["type"])
                        if event["type"] == last:
                            return seen
        raise AssertionError(f"the stream has ended after {seen}")


def visiting(url: str) -> ClientSession:
    return ClientSession(url, headers={"Authorization": f"Bearer {TOKEN}"})


async def test_an_order_is_accepted_and_shipped_over_http(offline: System) -> None:
    offline.connect("manual")
    await offline.fill_catalogue(100)
    daemon = await offline.run(http_token=TOKEN)
    (order,) = offline.place("manual")
    url = await daemon.listening()
    async with visiting(url) as session:
        visitor = Visitor(session, url)

        async def pending() -> bool:
            _, page = await visitor.ask("GET", "/orders?state=pending_manual")
            return [item["order_id"] for item in page["items"]] == [order.id]

        await eventually(pending, 20)
        path = f"/orders/manual/{order.id}"
        status, reply = await visitor.ask("POST", f"{path}/accept", by="ada")
        assert (status, reply["status"]) == (202, "queued")
        seen = await visitor.followed(order.id, "spartoo.order.synced.v1")
        assert [name.split(".")[2] for name in seen] == [
            "new",
            "pending_manual",
            "accepted",
            "synced",
        ]
        assert order.status is Status.IN_PREPARATION
        parcel = {"tracking_number": "8R00123", "shipping_service": "Colissimo"}
        status, _ = await visitor.ask("POST", f"{path}/ship", **parcel)
        assert status == 202
        await visitor.followed(order.id, "spartoo.order.shipped.v1")
        assert (order.status, order.tracking_number) == (Status.SHIPPED, "8R00123")
        _, opened = await visitor.ask("GET", path)
        assert opened["shipments"][0]["tracking_number"] == "8R00123"
    assert TOKEN not in daemon.output()
    await offline.check()


async def test_one_order_is_read_now_and_its_slip_given(offline: System) -> None:
    offline.connect("manual", poll_interval=3600)
    daemon = await offline.run(http_token=TOKEN)
    url = await daemon.listening()
    async with visiting(url) as session:
        visitor = Visitor(session, url)
        (order,) = offline.place("manual", status=Status.IN_PREPARATION)
        path = f"/orders/manual/{order.id}"
        status, reply = await visitor.ask("POST", f"{path}/fetch")
        assert (status, reply["status"], reply["order"]["order_id"]) == (200, "done", order.id)
        async with session.get(f"/api/v1{path}/slip") as response:
            assert response.content_type == "application/pdf"
            assert (await response.read()).startswith(b"%PDF-")
        status, problem = await visitor.ask("POST", "/orders/manual/0000000000000000/fetch")
        assert (status, problem["code"]) == (404, "unknown_order")


async def test_a_stop_is_not_held_up_by_those_who_listen(offline: System) -> None:
    daemon = await offline.run(http_token=TOKEN)
    url = await daemon.listening()
    async with visiting(url) as session:
        streams = [await session.get("/api/v1/events/stream") for _ in range(5)]
        assert {stream.status for stream in streams} == {200}
        assert await daemon.terminate(STOP_SECONDS) == 0
        for stream in streams:
            await stream.read()
    assert not [record for record in daemon.logs() if record["level"] == "error"]
