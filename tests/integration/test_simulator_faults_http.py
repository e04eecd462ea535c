"""Faults as a caller meets them on the wire, and what they leave changed behind them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from lxml import etree
from pydantic import TypeAdapter

from adapters.spartoo.simulator import Simulator, SimulatorConfig, running_simulator
from adapters.spartoo.simulator.factory import Wishes
from adapters.spartoo.simulator.fault_kinds import AnyFault
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from adapters.spartoo.simulator.sending import pause

KEY = "0123456789ABCDEF"
EXPORT, CHANGE = "xml_export_orders", "xml_maj_orders"
_FAULT: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)


class Caller:
    """Posts to a simulator that misbehaves as told."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession):
        self.simulator = simulator
        self._session = session

    def fault(self, **fault: Any) -> None:
        self.simulator.faults.add(_FAULT.validate_python(fault))

    def order(self) -> SimulatedOrder:
        return self.simulator.world.create(Wishes())

    async def post(self, service: str, **fields: str) -> tuple[int, str, bytes]:
        url = f"{self.simulator.url}/{service}.php"
        async with self._session.post(url, data={"partenaire": KEY, **fields}) as response:
            return response.status, response.content_type, await response.read()

    async def accept(self, order: SimulatedOrder) -> tuple[int, str, bytes]:
        return await self.post(CHANGE, oID=order.id, statut="2")

    async def export(self) -> bytes:
        return (await self.post(EXPORT, date="2000-01-01:00:00:00"))[2]


async def until(state: Callable[[], bool]) -> None:
    """Wait for a state of the simulator, five seconds at most."""
    for _ in range(1000):
        if state():
            return
        await asyncio.sleep(0.005)
    pytest.fail("the state did not come about within five seconds")


async def leave(call: asyncio.Task[Any]) -> None:
    """Give up waiting for an answer, as a caller does after its time limit."""
    assert not call.done()
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with (
        running_simulator(SimulatorConfig()) as simulator,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
    ):
        yield Caller(simulator, session)


@pytest.mark.parametrize("after_change", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body"),
    [
        ({"kind": "http_error", "status": 500}, 500, "text/html", b"Error 500"),
        ({"kind": "html"}, 200, "text/html", b"Maintenance"),
        ({"kind": "empty"}, 200, "text/xml", b""),
        ({"kind": "code", "code": -429}, 200, "text/xml", b"<errors>-429</errors>"),
        ({"kind": "code", "code": -428}, 200, "text/xml", b"<errors>-428</errors>"),
        ({"kind": "code", "code": -77}, 200, "text/xml", b"<errors>-77</errors>"),
    ],
)
async def test_foreign_answers_before_and_after_the_change(
    caller: Caller,
    fault: dict[str, Any],
    status: int,
    content_type: str,
    body: bytes,
    after_change: bool,
) -> None:
    order = caller.order()
    caller.fault(**fault, after_change=after_change, count=1)
    answer = await caller.accept(order)
    assert answer[:2] == (status, content_type)
    assert body in answer[2]
    assert (answer[2] == b"") == (fault["kind"] == "empty")
    assert order.status is (Status.IN_PREPARATION if after_change else Status.VERIFIED)
    (call,) = caller.simulator.ledger.after(0)
    assert call.faults == (fault["kind"],)
    assert call.code == fault.get("code")
    assert call.changed is after_change
    assert (await caller.accept(order))[0] == 200


@pytest.mark.parametrize("after_change", [False, True])
@pytest.mark.parametrize("fault", [{"kind": "drop"}, {"kind": "timeout", "seconds": 0.05}])
async def test_a_connection_closes_without_an_answer(
    caller: Caller, fault: dict[str, Any], after_change: bool
) -> None:
    order = caller.order()
    caller.fault(**fault, after_change=after_change)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.accept(order)
    assert order.status is (Status.IN_PREPARATION if after_change else Status.VERIFIED)
    (call,) = caller.simulator.ledger.after(0)
    assert (call.changed, call.code) == (after_change, None)


@pytest.mark.parametrize("after_change", [False, True])
async def test_a_silent_service_leaves_its_caller_without_answer(
    caller: Caller, after_change: bool
) -> None:
    order = caller.order()
    caller.fault(kind="timeout", after_change=after_change)
    call = asyncio.create_task(caller.accept(order))
    await until(lambda: caller.simulator.ledger.total == 1)
    await leave(call)
    assert order.status is (Status.IN_PREPARATION if after_change else Status.VERIFIED)


async def test_closing_ends_held_up_calls(caller: Caller) -> None:
    caller.fault(kind="timeout", seconds=3600)
    held = asyncio.create_task(caller.export())
    await until(lambda: caller.simulator.ledger.total == 1)
    async with asyncio.timeout(5):
        await caller.simulator.close()
        with pytest.raises(aiohttp.ClientError):
            await held


async def test_latency_holds_the_service_back_until_it_is_over(caller: Caller) -> None:
    order = caller.order()
    caller.fault(kind="latency", seconds=0.2)
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert b"<errors>1</errors>" in (await caller.accept(order))[2]
    assert loop.time() - started >= 0.19


async def test_a_late_service_does_its_work_though_its_caller_has_left(caller: Caller) -> None:
    order = caller.order()
    caller.fault(kind="latency", seconds=3600, count=1)
    call = asyncio.create_task(caller.accept(order))
    await until(lambda: not caller.simulator.faults.in_force())
    await leave(call)
    assert order.status is Status.VERIFIED
    await caller.simulator.close()  # ends the delay
    assert [call.changed for call in caller.simulator.ledger.after(0)] == [True]


async def test_a_cut_off_export_ends_as_if_it_were_whole(caller: Caller) -> None:
    for _ in range(100):
        caller.order()
    whole = await caller.export()
    for at_byte in (0, 500, 100_000):
        caller.fault(kind="cut_off", at_byte=at_byte, count=1)
        assert await caller.export() == whole[:at_byte]
    caller.fault(kind="cut_off", fraction=0.5, count=1)
    assert await caller.export() == whole[: len(whole) // 2]
    assert await caller.export() == whole


@pytest.mark.parametrize("at_byte", [500, 100_000])
async def test_an_export_breaks_off_with_its_connection(caller: Caller, at_byte: int) -> None:
    for _ in range(100):
        caller.order()
    caller.fault(kind="cut_off", at_byte=at_byte, drop=True)
    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.export()


async def test_an_answer_to_a_change_can_be_cut_off_too(caller: Caller) -> None:
    order = caller.order()
    caller.fault(kind="cut_off", fraction=0.5)
    _, _, data = await caller.accept(order)
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(data)
    assert order.status is Status.IN_PREPARATION


async def test_a_drip_arrives_whole_and_slowly(caller: Caller) -> None:
    caller.order()
    whole = await caller.export()
    caller.fault(kind="drip", size=len(whole) // 4, seconds=0.02)
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await caller.export() == whole
    assert loop.time() - started >= 0.07


async def test_a_caller_who_leaves_a_drip_disturbs_nobody(caller: Caller) -> None:
    caller.order()
    caller.fault(kind="drip", size=1, seconds=0.01, count=1)
    call = asyncio.create_task(caller.export())
    await until(lambda: caller.simulator.ledger.total == 1)
    await leave(call)
    assert etree.fromstring(await caller.export()).findtext("statut/id") == "1"


@pytest.mark.parametrize("kind", ["latin1", "bom", "extra_fields", "reordered"])
async def test_odd_but_legal_exports_still_parse(caller: Caller, kind: str) -> None:
    order = caller.order()
    caller.fault(kind=kind)
    root = etree.fromstring(await caller.export())
    name = root.findtext("orders/order/customers/customers_firstname")
    assert name == order.billing.first_name


@pytest.mark.parametrize("kind", ["cp1252", "malformed_order"])
async def test_illegal_exports_do_not_parse(caller: Caller, kind: str) -> None:
    for _ in range(3):
        caller.order()
    etree.fromstring(await caller.export())
    caller.fault(kind=kind)
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(await caller.export())


async def test_faults_can_stand_in_the_settings() -> None:
    config = SimulatorConfig.model_validate({"faults": [{"kind": "empty", "count": 1}]})
    async with running_simulator(config) as simulator, aiohttp.ClientSession() as session:
        caller = Caller(simulator, session)
        assert await caller.export() == b""
        assert await caller.export() != b""


async def test_a_pause_ends_when_the_simulator_closes() -> None:
    closing = asyncio.Event()
    waiting = asyncio.create_task(pause(closing, 3600))
    closing.set()
    await asyncio.wait_for(waiting, 1)
