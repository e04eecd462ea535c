"""The simulated web services over HTTP: each rule of the web-service page."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import product

import aiohttp
import pytest
from lxml import etree

from adapters.spartoo.simulator import AccountConfig, Simulator, SimulatorConfig, running_simulator
from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import Wishes, catalog_line
from adapters.spartoo.simulator.orders import Party, SimulatedOrder, Status

KEY, OTHER_KEY = "00000000000000AA", "00000000000000BB"
EXPORT, CHANGE = "xml_export_orders", "xml_maj_orders"
EVER = "2000-01-01:00:00:00"
CONFIG = SimulatorConfig(
    accounts=(AccountConfig(name="a", key=KEY), AccountConfig(name="b", key=OTHER_KEY)),
    limit_per_hour=500,
)


class Clock:
    """09:00 in Paris."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Marketplace:
    """The simulator as its callers see it, and behind it."""

    def __init__(self, simulator: Simulator, clock: Clock, session: aiohttp.ClientSession):
        self.simulator = simulator
        self.clock = clock
        self._session = session

    def order(self, status: Status = Status.VERIFIED, account: str = "a") -> SimulatedOrder:
        return self.simulator.world.create(Wishes(account=account, status=status))

    async def raw(self, service: str, fields: dict[str, str]) -> bytes:
        url = f"{self.simulator.url}/{service}.php"
        async with self._session.post(url, data=fields) as response:
            assert response.status == 200
            assert response.content_type == "text/xml"
            return await response.read()

    async def call(self, service: str, **fields: str) -> etree._Element:
        return etree.fromstring(await self.raw(service, {"partenaire": KEY, **fields}))

    async def export(self, **fields: str) -> list[str | None]:
        root = await self.call(EXPORT, **fields)
        assert root.findtext("statut/id") == "1"
        return [order.findtext("orders_id") for order in root.findall("orders/order")]

    async def change(self, **fields: str) -> int:
        return int((await self.call(CHANGE, **fields)).findtext("errors") or "")


@pytest.fixture
async def mp() -> AsyncIterator[Marketplace]:
    clock = Clock()
    async with (
        running_simulator(CONFIG, clock) as simulator,
        aiohttp.ClientSession() as session,
    ):
        yield Marketplace(simulator, clock, session)


async def code(mp: Marketplace, service: str, fields: dict[str, str]) -> str | None:
    root = etree.fromstring(await mp.raw(service, fields))
    return root.findtext("statut/id") if service == EXPORT else root.findtext("errors")


@pytest.mark.parametrize("service", [EXPORT, CHANGE])
@pytest.mark.parametrize(
    ("key", "answered"),
    [({}, "-1"), ({"partenaire": " "}, "-1"), ({"partenaire": "0" * 16}, "-2")],
)
async def test_a_missing_or_unknown_key(
    mp: Marketplace, service: str, key: dict[str, str], answered: str
) -> None:
    fields = {**key, "oID": mp.order().id, "statut": "2", "date": EVER}
    assert await code(mp, service, fields) == answered


async def test_a_deactivated_account_is_told_so_and_changes_nothing(mp: Marketplace) -> None:
    order = mp.order()
    mp.simulator.world.account("a").active = False
    assert await code(mp, EXPORT, {"partenaire": KEY, "date": EVER}) == "-428"
    assert await mp.change(oID=order.id, statut="2") == -428
    assert order.status is Status.VERIFIED
    assert await code(mp, EXPORT, {"partenaire": OTHER_KEY, "date": EVER}) == "1"


async def test_past_the_limit_a_service_rests_until_the_hour_has_passed(mp: Marketplace) -> None:
    world = mp.simulator.world
    for _ in range(500):
        assert await code(mp, EXPORT, {"partenaire": KEY, "date": "2027-01-01:00:00:00"}) == "1"
    root = await mp.call(EXPORT, date=EVER)
    assert root.findtext("statut/id") == "-429"
    assert "last hour" in (root.findtext("statut/description") or "")
    assert await mp.change(oID="0" * 16, statut="2") == -6
    assert await code(mp, EXPORT, {"partenaire": OTHER_KEY, "date": EVER}) == "1"
    mp.clock.now += timedelta(minutes=59, seconds=59)
    assert (await mp.call(EXPORT, date=EVER)).findtext("statut/id") == "-429"
    mp.clock.now += timedelta(seconds=1)
    assert await mp.export(date=EVER) == list(world.orders)


async def test_an_exported_order_has_every_documented_element_in_place(mp: Marketplace) -> None:
    line = catalog_line(VARIANTS["98_38"], 2)
    order = mp.simulator.world.create(Wishes(account="a", relay=True, lines=(line,)))
    element = (await mp.call(EXPORT, oID=order.id)).find("orders/order")
    assert element is not None
    assert _tags(element, ".") == (
        "orders_id customers delivery payment_method payment_price shipping_price shipping_name "
        "order_total orders_status_name orders_status_id date_purchased last_modified products "
        "errors"
    )
    assert _tags(element, "customers").replace("customers_", "") == (
        "firstname lastname company street_address suburb city postcode state country "
        "email_address telephone"
    )
    assert _tags(element, "delivery").replace("delivery_", "") == (
        "firstname lastname company suburb street_address city postcode state country relay_info"
    )
    assert _tags(element, "delivery/relay_info") == (
        "relay_id relay_type relay_name relay_address relay_city relay_postcode relay_country_iso"
    )
    item = {child.tag: child.text for child in element.iterfind("products/product/*")}
    assert item == {
        "products_reference": "98",
        "products_size_reference": "98_38",
        "products_name": "Baskets Léonce",
        "products_manufacturers": "Atelier Fictif",
        "products_size": "38",
        "products_color": "Gris & blanc",
        "products_spartoo": str(VARIANTS["98_38"].spartoo_number),
        "products_qty": "2",
        "products_price_unit": "79.99",
        "products_price_unit_with_reduce": "64.99",
        "products_final_price": "129.98",
    }
    assert element.findtext("order_total") == "129.98"
    assert element.findtext("date_purchased") == "2026-11-20 09:00:00"
    assert element.findtext("orders_status_name") == "verified"
    assert element.findtext("orders_status_id") == "11"


def _tags(element: etree._Element, path: str) -> str:
    return " ".join(str(child.tag) for child in element.iterfind(f"{path}/*"))


async def test_without_relay_there_is_no_relay_info(mp: Marketplace) -> None:
    order = mp.simulator.world.create(Wishes(account="a", relay=False))
    assert (await mp.call(EXPORT, oID=order.id)).find(".//relay_info") is None


async def test_markup_in_a_name_arrives_as_text(mp: Marketplace) -> None:
    order = mp.order()
    mp.simulator.world.amend(order, billing=Party(first_name="Inès <b>", company="A & B"))
    customers = (await mp.call(EXPORT, oID=order.id)).find("orders/order/customers")
    assert customers is not None
    assert customers.findtext("customers_firstname") == "Inès <b>"
    assert customers.findtext("customers_company") == "A & B"


async def test_export_since_a_date_is_by_local_time_of_purchase(mp: Marketplace) -> None:
    first = mp.order()
    mp.clock.now += timedelta(seconds=1)
    second = mp.order()
    mp.simulator.world.set_status(first, Status.IN_PREPARATION)
    assert await mp.export(date="2026-11-20:09:00:00") == [first.id, second.id]
    assert await mp.export(date="2026-11-20:09:00:01") == [second.id]
    assert await mp.export(date="2026-11-20:09:00:02") == []


async def test_export_filters_by_status_and_keeps_to_its_account(mp: Marketplace) -> None:
    verified, shipped = mp.order(), mp.order(Status.SHIPPED)
    foreign = mp.order(account="b")
    assert await mp.export(date=EVER, statut="3") == [shipped.id]
    assert await mp.export(date=EVER, status="11") == [verified.id]
    assert await mp.export(oID=verified.id, statut="3") == []
    assert (await mp.call(EXPORT, oID=foreign.id)).findtext("statut/id") == "-6"


@pytest.mark.parametrize("date", ["", "2026-11-20", "2026-11-20 09:00:00", "yesterday"])
async def test_export_needs_a_date_or_an_order(mp: Marketplace, date: str) -> None:
    assert (await mp.call(EXPORT, date=date)).findtext("statut/id") == "-3"


async def test_the_english_field_names_are_understood(mp: Marketplace) -> None:
    order = mp.order()
    fields = {"partner": KEY, "oID": order.id, "status": "2"}
    assert await code(mp, CHANGE, fields) == "1"
    assert order.status is Status.IN_PREPARATION


ALLOWED = {(11, 2), (2, 3), (11, 41), (2, 41), (45, 41), (47, 41), (3, 45), (3, 47)}


@pytest.mark.parametrize(("before", "wanted"), list(product(Status, Status)))
async def test_chronology(mp: Marketplace, before: Status, wanted: Status) -> None:
    order = mp.order(before)
    mp.clock.now += timedelta(minutes=1)
    fields = {"oID": order.id, "statut": str(wanted.value), "tracking_number": "6A1"}
    expected = {before is wanted: -9, (before, wanted) in ALLOWED: 1}.get(True, -7)
    assert await mp.change(**fields) == expected
    assert order.status is (wanted if expected == 1 else before)
    assert (order.modified == order.purchased) == (expected != 1)
    assert order.tracking_number == ("6A1" if expected == 1 else "")


@pytest.mark.parametrize(
    ("fields", "answered"),
    [
        ({"statut": "2"}, -5),
        ({"oID": "{id}"}, -5),
        ({"oID": "{id}", "statut": "accepted"}, -5),
        ({"oID": "{id}", "statut": "99"}, -7),
        ({"oID": "{id}", "statut": "11"}, -9),
        ({"oID": "0000000000000000", "statut": "2"}, -6),
    ],
)
async def test_change_of_nothing(mp: Marketplace, fields: dict[str, str], answered: int) -> None:
    order = mp.order()
    assert await mp.change(**{n: v.format(id=order.id) for n, v in fields.items()}) == answered
    assert order.status is Status.VERIFIED


async def test_shipping_needs_a_tracking_number(mp: Marketplace) -> None:
    order = mp.order(Status.IN_PREPARATION)
    assert await mp.change(oID=order.id, statut="3") == -3
    assert await mp.change(oID=order.id, statut="3", tracking_number="6A1") == 1
    assert (order.status, order.tracking_number) == (Status.SHIPPED, "6A1")


async def test_an_order_of_another_account_cannot_be_changed(mp: Marketplace) -> None:
    order = mp.order(account="b")
    assert await mp.change(oID=order.id, statut="2") == -6
    assert order.status is Status.VERIFIED


async def test_the_ledger_tells_what_reached_the_marketplace_without_the_key(
    mp: Marketplace,
) -> None:
    order = mp.order()
    await mp.change(oID=order.id, statut="2")
    await mp.change(oID=order.id, statut="2")
    await code(mp, CHANGE, {"partenaire": "00000000000000CC", "oID": order.id, "statut": "41"})
    calls = list(mp.simulator.ledger.after(0))
    assert [(c.number, c.account, c.code) for c in calls] == [
        (1, "a", 1),
        (2, "a", -9),
        (3, "unknown …00CC", -2),
    ]
    assert [c.number for c in mp.simulator.ledger.changes(order.id)] == [1]
    assert dict(calls[0].fields) == {"oID": order.id, "statut": "2"}
    assert (calls[0].before, calls[0].after) == (Status.VERIFIED, Status.IN_PREPARATION)
    assert KEY not in repr(calls)


async def test_what_is_no_form_has_no_key(mp: Marketplace) -> None:
    async with aiohttp.request(
        "POST",
        f"{mp.simulator.url}/{EXPORT}.php",
        data=b"partenaire=\xff",
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"},
    ) as response:
        assert etree.fromstring(await response.read()).findtext("statut/id") == "-1"


async def test_a_service_that_is_not_there_is_not_found(mp: Marketplace) -> None:
    async with aiohttp.request("POST", f"{mp.simulator.url}/xml_maj_orderz.php") as response:
        assert response.status == 404
