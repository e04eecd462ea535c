"""The simulated services for returns, slips, packages and stock: each rule of the page."""

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import product
from typing import Any

import aiohttp
import pytest
from lxml import etree

from adapters.spartoo.simulator import AccountConfig, Simulator, SimulatorConfig, running_simulator
from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import Wishes, catalog_line
from adapters.spartoo.simulator.orders import Package, SimulatedOrder, Status
from adapters.spartoo.simulator.returns import ReturnStatus, ReturnWishes, SimulatedReturn
from adapters.spartoo.simulator.slips import slip_pdf

KEY, MULTI_KEY = "00000000000000AA", "00000000000000BB"
RETURNS, RETURN, SLIP = "xml_export_returns", "xml_maj_returns", "xml_export_bl"
ORDER, ONE_STOCK, STOCK = "xml_maj_orders", "xml_maj_stock", "xml_maj_stock_batch"
ACCOUNTS = (
    AccountConfig(name="a", key=KEY),
    AccountConfig(name="b", key=MULTI_KEY, multi_package=True),
)
NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
LINES = (catalog_line(VARIANTS["98_38"], 2), catalog_line(VARIANTS["99_40"], 1))
PDF = b"%PDF-1.4\n"


class Marketplace:
    """The simulator as its callers see it, and behind it."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession):
        self.simulator = simulator
        self.world = simulator.world
        self.session = session

    def order(self, account: str = "a", status: Status = Status.IN_PREPARATION) -> SimulatedOrder:
        return self.world.create(Wishes(account=account, lines=LINES, status=status))

    def returned(
        self, status: ReturnStatus = ReturnStatus.REQUESTED, at: datetime | None = None
    ) -> SimulatedReturn:
        return self.world.create_return(self.order(), ReturnWishes(status=status), at)

    async def call(self, service: str, fields: Mapping[str, Any], key: str = KEY) -> etree._Element:
        form = aiohttp.FormData({"partenaire": key})
        for name, value in fields.items():
            if isinstance(value, bytes):
                form.add_field(name, BytesIO(value), filename="label.pdf")
            else:
                form.add_field(name, value)
        async with self.session.post(f"{self.simulator.url}/{service}.php", data=form) as response:
            assert response.status == 200
            return etree.fromstring(await response.read())

    async def code(self, service: str, fields: Mapping[str, Any], key: str = KEY) -> int:
        root = await self.call(service, fields, key)
        return int(root.findtext("statut/id") or root.findtext("errors") or "")

    async def exported(self, **fields: str) -> list[str | None]:
        root = await self.call(RETURNS, fields)
        assert root.findtext("statut/id") == "1"
        return [one.findtext("return_id") for one in root.findall("returns/return")]


@asynccontextmanager
async def opened(**config: Any) -> AsyncIterator[Marketplace]:
    settings = SimulatorConfig(accounts=ACCOUNTS, **config)
    async with (
        running_simulator(settings, lambda: NOON) as simulator,
        aiohttp.ClientSession() as session,
    ):
        yield Marketplace(simulator, session)


@pytest.fixture
async def mp() -> AsyncIterator[Marketplace]:
    async with opened() as marketplace:
        yield marketplace


@pytest.mark.parametrize("service", [RETURNS, RETURN, SLIP, ONE_STOCK, STOCK])
async def test_every_service_asks_for_the_key(mp: Marketplace, service: str) -> None:
    assert await mp.code(service, {}, key=" ") == -1
    assert await mp.code(service, {}, key="0" * 16) == -2
    mp.world.account("a").active = False
    assert await mp.code(service, {}) == -428


class TestReturns:
    async def test_an_exported_return_has_every_documented_element(self, mp: Marketplace) -> None:
        found = mp.returned()
        element = (await mp.call(RETURNS, {"rID": found.id})).find("returns/return")
        assert element is not None
        assert {child.tag: child.text for child in element if len(child) == 0} == {
            "return_id": found.id,
            "return_date": "2026-11-20 12:00:00",
            "return_status_name": "waiting to be received",
            "return_status": "2",
            "return_reason": "trop petit",
            "order": found.order_id,
            "errors": None,
        }
        assert {child.tag: child.text for child in element.iterfind("product/*")} == {
            "products_reference": "98",
            "products_name": "Baskets Léonce",
            "products_spartoo": str(VARIANTS["98_38"].spartoo_number),
            "products_manufacturers": "Atelier Fictif",
            "products_size": "38",
            "products_color": "Gris & blanc",
        }

    async def test_they_are_found_by_timestamp_order_id_and_status(self, mp: Marketplace) -> None:
        old = mp.returned(at=NOON - timedelta(hours=1))
        new = mp.returned(ReturnStatus.PAID)
        at = int(NOON.timestamp())
        assert await mp.exported(date="0") == [old.id, new.id]
        assert await mp.exported(date=str(at)) == [new.id]
        assert await mp.exported(date=str(at + 1)) == []
        assert await mp.exported(date="0", statut="5") == [new.id]
        assert await mp.exported(oID=old.order_id) == [old.id]
        assert await mp.exported(oID=mp.order().id) == []
        assert await mp.exported(rID=new.id, statut="2") == []

    @pytest.mark.parametrize(
        ("fields", "answered"),
        [
            ({}, -3),
            ({"date": "2026-11-20:12:00:00"}, -3),
            ({"date": "9" * 30}, -3),
            ({"rID": "0" * 16}, -6),
            ({"oID": "0" * 16}, -6),
        ],
    )
    async def test_what_is_not_found(
        self, mp: Marketplace, fields: dict[str, str], answered: int
    ) -> None:
        assert await mp.code(RETURNS, fields) == answered

    async def test_an_account_sees_and_changes_its_own_only(self, mp: Marketplace) -> None:
        found = mp.returned()
        assert await mp.code(RETURNS, {"rID": found.id}, key=MULTI_KEY) == -6
        assert await mp.code(RETURNS, {"oID": found.order_id}, key=MULTI_KEY) == -6
        assert await mp.code(RETURN, {"rID": found.id, "statut": "4"}, key=MULTI_KEY) == -6
        assert found.status is ReturnStatus.REQUESTED

    @pytest.mark.parametrize(("before", "wanted"), list(product(ReturnStatus, ReturnStatus)))
    async def test_chronology(
        self, mp: Marketplace, before: ReturnStatus, wanted: ReturnStatus
    ) -> None:
        found = mp.returned(before)
        allowed = (before, wanted) in {(2, 4), (3, 4), (2, 3)}
        expected = {before is wanted: -9, allowed: 1}.get(True, -7)
        assert await mp.code(RETURN, {"rID": found.id, "statut": str(int(wanted))}) == expected
        assert found.status is (wanted if expected == 1 else before)

    @pytest.mark.parametrize(
        ("fields", "answered"),
        [
            ({"statut": "4"}, -5),
            ({"rID": "{id}"}, -5),
            ({"rID": "{id}", "statut": "x"}, -5),
            ({"rID": "{id}", "statut": "x", "label_link": "https://a.example"}, -5),
            ({"rID": "{id}", "statut": "99"}, -7),
            ({"rID": "0000000000000000", "statut": "4"}, -6),
            ({"rID": "{id}", "label_link": "https://" + "a" * 248}, -24),
            ({"rID": "{id}", "label_file": b""}, -22),
            ({"rID": "{id}", "label_file": b"GIF89a"}, -23),
            ({"rID": "{id}", "label_file": "JVBERi0="}, -23),
            ({"rID": "{id}", "statut": "4", "label_file": b"GIF89a"}, -23),
            ({"rID": "{id}", "statut": "5", "label_link": "https://a.example"}, -7),
        ],
    )
    async def test_what_changes_nothing(
        self, mp: Marketplace, fields: dict[str, Any], answered: int
    ) -> None:
        found = mp.returned()
        fields = {n: v.replace("{id}", found.id) if n == "rID" else v for n, v in fields.items()}
        assert await mp.code(RETURN, fields) == answered
        assert (found.status, found.label_link, found.label_file) == (2, "", b"")

    async def test_labels(self, mp: Marketplace) -> None:
        found = mp.returned()
        link = {"rID": found.id, "label_link": "https://labels.example.com/1"}
        assert [await mp.code(RETURN, link) for _ in range(2)] == [1, -25]
        large = PDF.ljust(5 << 20)
        assert await mp.code(RETURN, {"rID": found.id, "statut": "4", "label_file": large}) == 1
        assert (found.status, found.label_link) == (4, "https://labels.example.com/1")
        assert found.label_file == large

    async def test_the_ledger_tells_which_return_was_moved(self, mp: Marketplace) -> None:
        found = mp.returned()
        await mp.code(RETURN, {"rID": found.id, "statut": "4"})
        await mp.code(RETURN, {"rID": found.id, "label_file": PDF})
        moved, labelled = mp.simulator.ledger.after(0)
        assert (moved.return_id, moved.order_id, moved.changed) == (found.id, None, True)
        assert (moved.before, moved.after) == (ReturnStatus.REQUESTED, ReturnStatus.ACCEPTED)
        assert dict(labelled.fields) == {"rID": found.id, "label_file": "9 bytes"}
        assert not labelled.changed


def slip_of(order: SimulatedOrder, *products: tuple[str, str]) -> dict[str, str]:
    listed = "".join(
        f"<product><reference_partenaire>{reference}</reference_partenaire>"
        f"<product_quantity>{quantity}</product_quantity></product>"
        for reference, quantity in products
    )
    return {"xml": f"<root><order_id>{order.id}</order_id><products>{listed}</products></root>"}


class TestSlips:
    async def test_a_link_leads_to_the_pdf(self, mp: Marketplace) -> None:
        order = mp.order()
        root = await mp.call(SLIP, slip_of(order, ("98", "2"), ("99", "1")))
        assert root.findtext("errors") == "1"
        assert root.findtext("bl/order_id") == order.id
        link = root.findtext("bl/pdf") or ""
        assert link == f"{mp.simulator.url}/slips/{order.id}.pdf"
        async with mp.session.get(link) as response:
            assert response.content_type == "application/pdf"
            assert await response.read() == slip_pdf(order)
        async with mp.session.get(f"{mp.simulator.url}/slips/{'0' * 16}.pdf") as response:
            assert response.status == 404

    async def test_as_base64(self) -> None:
        async with opened(slips="base64") as mp:
            order = mp.order()
            root = await mp.call(SLIP, slip_of(order, ("98", "1")))
            assert b64decode(root.findtext("bl/pdf") or "") == slip_pdf(order)

    @pytest.mark.parametrize(
        ("products", "answered"),
        [
            ([], -3),
            ([("98", "0")], -3),
            ([("98", "x")], -3),
            ([("", "1")], -12),
            ([("98", "2"), ("98", "1")], -14),
            ([("4711", "1")], -14),
        ],
    )
    async def test_products_that_are_not_the_orders(
        self, mp: Marketplace, products: list[tuple[str, str]], answered: int
    ) -> None:
        root = await mp.call(SLIP, slip_of(mp.order(), *products))
        assert (root.findtext("errors"), root.find("bl")) == (str(answered), None)

    @pytest.mark.parametrize(
        ("xml", "answered"),
        [
            ("", -11),
            ("<root>", -15),
            ("<root/>", -3),
            ("<root><order_id>0000000000000000</order_id></root>", -6),
        ],
    )
    async def test_what_is_no_request(self, mp: Marketplace, xml: str, answered: int) -> None:
        assert await mp.code(SLIP, {"xml": xml}) == answered
        assert await mp.code(SLIP, slip_of(mp.order("b"), ("98", "1"))) == -6


def package(number: str, *products: tuple[str, int]) -> str:
    listed = "".join(
        f"<product><products_size_reference>{size}</products_size_reference>"
        f"<quantity>{quantity}</quantity></product>"
        for size, quantity in products
    )
    return (
        f"<package><tracking_number>{number}</tracking_number>"
        f"<products>{listed}</products></package>"
    )


def shipped(order: SimulatedOrder, *packages: str) -> dict[str, str]:
    listed = "".join(packages)
    xml = f"<root><order_id>{order.id}</order_id><packages>{listed}</packages></root>"
    return {"oID": order.id, "xml": xml}


class TestPackages:
    async def test_an_order_is_shipped_in_packages_once(self, mp: Marketplace) -> None:
        order = mp.order("b")
        fields = shipped(order, package("6A1", ("98_38", 1)), package("6A2", ("98_38", 1)))
        assert await mp.code(ORDER, fields, MULTI_KEY) == 1
        assert (order.status, order.tracking_number) == (Status.SHIPPED, "6A1")
        assert order.packages == (Package("6A1", (("98_38", 1),)), Package("6A2", (("98_38", 1),)))
        assert await mp.code(ORDER, fields, MULTI_KEY) == -9
        assert len(mp.simulator.ledger.changes(order.id)) == 1

    @pytest.mark.parametrize(
        ("packages", "answered"),
        [
            ([], -3),
            ([package("6A1")], -3),
            ([package("", ("98_38", 1))], -3),
            ([package("6A1", ("98_38", 0))], -3),
            ([package("6A1", ("98_38", 2)), package("6A2", ("98_38", 1))], -14),
            ([package("6A1", ("4711_38", 1))], -14),
        ],
    )
    async def test_packages_that_cannot_be(
        self, mp: Marketplace, packages: list[str], answered: int
    ) -> None:
        order = mp.order("b")
        assert await mp.code(ORDER, shipped(order, *packages), MULTI_KEY) == answered
        assert (order.status, order.packages) == (Status.IN_PREPARATION, ())

    async def test_other_refusals(self, mp: Marketplace) -> None:
        order, new = mp.order("b"), mp.order("b", Status.VERIFIED)
        fields = shipped(new, package("6A1", ("98_38", 1)))
        assert await mp.code(ORDER, fields, MULTI_KEY) == -7
        assert await mp.code(ORDER, {**fields, "oID": order.id}, MULTI_KEY) == -6
        assert await mp.code(ORDER, {"oID": order.id, "xml": ""}, MULTI_KEY) == -11
        assert await mp.code(ORDER, {"oID": order.id, "xml": "<root>"}, MULTI_KEY) == -15

    async def test_only_accounts_with_the_option(self, mp: Marketplace) -> None:
        order = mp.order("a")
        assert await mp.code(ORDER, shipped(order, package("6A1", ("98_38", 1)))) == -5
        plain = mp.order("b")
        fields = {"oID": plain.id, "statut": "3", "tracking_number": "6A9"}
        assert await mp.code(ORDER, fields, MULTI_KEY) == 1
        assert (plain.tracking_number, plain.packages) == ("6A9", ())


def one_size(reference: str, size: str, quantity: object) -> dict[str, str]:
    return {
        "reference_partenaire": reference,
        "products_size_reference": size,
        "products_quantity": str(quantity),
    }


def sizes(reference: str, *levels: tuple[str, object]) -> str:
    listed = "".join(
        f"<size><size_reference>{size}</size_reference><size_quantity>{quantity}</size_quantity>"
        "</size>"
        for size, quantity in levels
    )
    return (
        f"<product><reference_partenaire>{reference}</reference_partenaire>"
        f"<size_list>{listed}</size_list></product>"
    )


class TestStock:
    async def test_a_quantity_is_set_once_and_per_account(self, mp: Marketplace) -> None:
        fields = one_size("98", "98_38", 7777)
        assert [await mp.code(ONE_STOCK, fields) for _ in range(2)] == [1, -18]
        level = mp.world.account("a").shelf.levels["98_38"]
        assert (level.quantity, level.told, level.told_at) == (7777, 1, NOON)
        other = mp.world.account("b").shelf.levels["98_38"]
        assert (other.quantity, other.told) == (VARIANTS["98_38"].stock, 0)

    @pytest.mark.parametrize(
        ("reference", "size", "quantity", "answered"),
        [
            ("", "98_38", 1, -12),
            ("98", "", 1, -13),
            ("98", "98_99", 1, -14),
            ("99", "98_38", 1, -14),
            ("98", "98_38", -1, -16),
            ("98", "98_38", "many", -16),
            ("98", "98_38", "", -16),
            ("98", "98_38", 100_000, -16),
        ],
    )
    async def test_what_is_refused(
        self, mp: Marketplace, reference: str, size: str, quantity: object, answered: int
    ) -> None:
        assert await mp.code(ONE_STOCK, one_size(reference, size, quantity)) == answered
        products = sizes(reference, (size, quantity))
        root = await mp.call(STOCK, {"xml": f"<c><products>{products}</products></c>"})
        assert root.findtext("products/product/errors/error/id") == str(answered)
        assert not any(level.told for level in mp.world.account("a").shelf.levels.values())

    async def test_a_size_no_longer_valid_has_none_left(self, mp: Marketplace) -> None:
        level = mp.world.account("a").shelf.levels["98_38"]
        level.retired = True
        assert await mp.code(ONE_STOCK, one_size("98", "98_38", 5)) == -20
        assert level.quantity == 0

    async def test_each_product_of_a_batch_has_its_own_code(self, mp: Marketplace) -> None:
        stock = {size: mp.world.account("a").shelf.levels[size].quantity for size in VARIANTS}
        products = "".join(
            [
                sizes("98", ("98_38", 501), ("98_39", stock["98_39"])),
                sizes("99", ("99_40", stock["99_40"])),
                sizes("90", ("90_36", 502), ("90_99", 1), ("90_37", -1)),
                sizes("91"),
            ]
        )
        root = await mp.call(STOCK, {"xml": f"<c><products>{products}</products></c>"})
        assert root.findtext("statut/id") == "1"
        answered = [
            (one.findtext("reference_partenaire"), one.findtext("errors/error/id"))
            for one in root.iterfind("products/product")
        ]
        assert answered == [("98", "1"), ("99", "-18"), ("90", "-14"), ("91", "-13")]
        told = {s: v.quantity for s, v in mp.world.account("a").shelf.levels.items() if v.told}
        assert told == {"98_38": 501, "90_36": 502}

    @pytest.mark.parametrize(("xml", "answered"), [("", -11), ("<c>", -15)])
    async def test_what_is_no_batch(self, mp: Marketplace, xml: str, answered: int) -> None:
        assert await mp.code(STOCK, {"xml": xml}) == answered
