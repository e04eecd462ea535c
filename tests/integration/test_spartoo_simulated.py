"""The client against the simulated marketplace: shipping, returns, slips and stock on the way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from pydantic import TypeAdapter

from adapters.ports import (
    Label,
    NotFound,
    StockLevel,
    TransportFault,
    UnreadableOrder,
    WrongChronology,
)
from adapters.spartoo import SpartooMarketplace
from adapters.spartoo.label import LARGEST_LABEL
from adapters.spartoo.simulator import AccountConfig, Simulator, SimulatorConfig, running_simulator
from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import Wishes, catalog_line
from adapters.spartoo.simulator.fault_kinds import AnyFault
from adapters.spartoo.simulator.orders import Package, SimulatedOrder, Status
from adapters.spartoo.simulator.returns import ReturnStatus, ReturnWishes, SimulatedReturn
from adapters.spartoo.simulator.slips import slip_pdf
from statemachine.connection import ConnectionSettings
from statemachine.model import ActionKind, Line, OrderId, ReturnId, Shipment, ShippedItem

KEY = "00000000000000AA"
LINES = (catalog_line(VARIANTS["98_38"], 2), catalog_line(VARIANTS["98_39"], 1))
PDF = b"%PDF-1.4\n"
NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
_FAULT: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)


class Account:
    """A client, and the marketplace behind it."""

    def __init__(self, simulator: Simulator, client: SpartooMarketplace):
        self.simulator = simulator
        self.client = client

    def order(self, status: Status = Status.IN_PREPARATION) -> SimulatedOrder:
        return self.simulator.world.create(Wishes(lines=LINES, status=status))

    def returned(self, **wishes: Any) -> SimulatedReturn:
        return self.simulator.world.create_return(self.order(), ReturnWishes(**wishes))

    def fault(self, **fault: Any) -> None:
        self.simulator.faults.add(_FAULT.validate_python(fault))

    async def lines(self, order: SimulatedOrder) -> tuple[Line, ...]:
        return (await self.client.fetch_order(OrderId(order.id))).read().lines


@asynccontextmanager
async def opened(*, multi_package: bool = False, **config: Any) -> AsyncIterator[Account]:
    account = AccountConfig(name="a", key=KEY, multi_package=multi_package)
    async with (
        running_simulator(
            SimulatorConfig(accounts=(account,), **config), lambda: NOON
        ) as simulator,
        aiohttp.ClientSession() as session,
    ):
        settings = ConnectionSettings(
            id="shoes-fr", base_url=simulator.url, multi_package=multi_package
        )
        yield Account(simulator, SpartooMarketplace(session, settings, KEY))


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with opened() as one:
        yield one


def parcel(number: str, *items: tuple[int, int]) -> Shipment:
    packed = tuple(ShippedItem(line, quantity) for line, quantity in items)
    return Shipment(number, "Colissimo", "Colissimo", packed, None)


@pytest.mark.parametrize(
    ("kind", "status"), [(ActionKind.LOSE, Status.LOST), (ActionKind.UNDELIVER, Status(47))]
)
async def test_an_order_is_shipped_once_and_goes_astray(
    account: Account, kind: ActionKind, status: Status
) -> None:
    order = account.order()
    order_id, change = OrderId(order.id), account.client.change_order
    with pytest.raises(WrongChronology):
        await change(order_id, kind)
    parcels = [parcel("6A1", (1, 2)), parcel("6A2", (2, 1))]
    await change(order_id, ActionKind.SHIP, parcels, await account.lines(order))
    assert (order.status, order.tracking_number) == (Status.SHIPPED, "6A1")
    await change(order_id, ActionKind.SHIP, parcels)
    with pytest.raises(WrongChronology):
        await change(order_id, ActionKind.CANCEL)
    await change(order_id, kind)
    assert order.status is status
    assert len(account.simulator.ledger.changes(order.id)) == 2


async def test_an_account_with_packages_names_them_all() -> None:
    async with opened(multi_package=True) as account:
        order = account.order()
        parcels = [parcel("6A1", (1, 1)), parcel("6A2", (1, 1), (2, 1))]
        lines = await account.lines(order)
        await account.client.change_order(OrderId(order.id), ActionKind.SHIP, parcels, lines)
        assert order.status is Status.SHIPPED
        assert order.packages == (
            Package("6A1", (("98_38", 1),)),
            Package("6A2", (("98_38", 1), ("98_39", 1))),
        )


class TestReturns:
    async def test_they_are_read_as_they_were_made(self, account: Account) -> None:
        old = account.returned(line=2, reason="trop grand & cher")
        (found,) = [one async for one in account.client.export_returns(NOON)]
        read = found.read()
        assert (read.return_id, read.order_id, read.status) == (old.id, old.order_id, 2)
        assert (read.reason, read.item.size) == ("trop grand & cher", "39")
        assert read.requested_at == NOON
        assert [one async for one in account.client.export_returns(NOON + SECOND)] == []
        assert (await account.client.fetch_return(ReturnId(old.id))).xml == found.xml
        with pytest.raises(NotFound):
            await account.client.fetch_return(ReturnId("0" * 16))

    async def test_refused_then_accepted_then_neither(self, account: Account) -> None:
        found = account.returned()
        return_id, change = ReturnId(found.id), account.client.change_return
        for _ in range(2):
            await change(return_id, ActionKind.RETURN_REFUSE)
            assert found.status is ReturnStatus.REFUSED
        await change(return_id, ActionKind.RETURN_ACCEPT)
        assert found.status is ReturnStatus.ACCEPTED
        with pytest.raises(WrongChronology):
            await change(return_id, ActionKind.RETURN_REFUSE)

    async def test_labels(self, account: Account) -> None:
        found = account.returned()
        link = Label(link="https://labels.example.com/1")
        for label in (link, link, Label(pdf=PDF.ljust(LARGEST_LABEL))):
            await account.client.change_return(ReturnId(found.id), ActionKind.RETURN_LABEL, label)
        assert found.label_link == link.link
        assert len(found.label_file) == LARGEST_LABEL

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "malformed_order"},
            {"kind": "unreadable_order", "what": "no_id"},
            {"kind": "unreadable_order", "what": "bad_date"},
            {"kind": "unreadable_order", "what": "bad_status"},
        ],
    )
    async def test_one_that_cannot_be_read_holds_up_no_other(
        self, account: Account, fault: dict[str, str]
    ) -> None:
        made = [account.returned(reason="été") for _ in range(3)]
        account.fault(**fault, return_id=made[1].id)
        account.fault(kind="extra_fields" if fault.get("what") else "cp1252")
        found = [one async for one in account.client.export_returns(made[0].requested_at)]
        assert len(found) == 3
        assert [one.read().return_id for one in (found[0], found[2])] == [made[0].id, made[2].id]
        assert found[2].read().reason == "été"
        with pytest.raises(UnreadableOrder):
            found[1].read()


class TestSlips:
    @pytest.mark.parametrize("slips", ["link", "base64"])
    async def test_the_pdf_is_had_either_way(self, slips: str) -> None:
        async with opened(slips=slips) as account:
            order = account.order()
            lines = await account.lines(order)
            pdf = await account.client.delivery_slip(OrderId(order.id), lines)
            assert pdf == slip_pdf(order)
            with pytest.raises(NotFound):
                await account.client.delivery_slip(OrderId("0" * 16), lines)

    @pytest.mark.parametrize(
        ("what", "told"),
        [
            ("no_pdf", "no PDF"),
            ("dead_link", "lies elsewhere than the web services"),
            ("none", "without the delivery slip"),
        ],
    )
    async def test_a_bad_one(self, account: Account, what: str, told: str) -> None:
        order = account.order()
        account.fault(kind="bad_slip", what=what, count=1, service="xml_export_bl")
        lines = await account.lines(order)
        with pytest.raises(TransportFault, match=told):
            await account.client.delivery_slip(OrderId(order.id), lines)
        assert await account.client.delivery_slip(OrderId(order.id), lines) == slip_pdf(order)


async def test_stock_is_taken_or_refused_product_by_product(account: Account) -> None:
    shelf = account.simulator.world.account("a").shelf
    shelf.levels["90_36"].retired = True
    levels = [
        StockLevel("98", "98_38", 41),
        StockLevel("90", "90_36", 3),
        StockLevel("98", "98_39", 42),
        StockLevel("4711", "4711_38", 1),
        StockLevel("99", "99_40", shelf.levels["99_40"].quantity),
    ]
    reasons = await account.client.push_stock(levels)
    assert [None if one is None else one.partition(":")[0] for one in reasons] == [
        None,
        "-20",
        None,
        "-14",
        None,
    ]
    assert {size: one.quantity for size, one in shelf.levels.items() if one.told} == {
        "98_38": 41,
        "98_39": 42,
    }
    assert await account.client.push_stock(levels[:1]) == [None]
    assert shelf.levels["98_38"].told == 1
