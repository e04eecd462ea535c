"""The control interface over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from adapters.spartoo.simulator import (
    AccountConfig,
    SimulatorConfig,
    catalog_products,
    running_simulator,
)

KEY = "00000000000000AA"
CONFIG = SimulatorConfig(
    accounts=(
        AccountConfig(name="a", key=KEY),
        AccountConfig(name="b", key="00000000000000BB"),
    )
)
EXPORT = {"partenaire": KEY, "date": "2000-01-01:00:00:00"}
UNKNOWN = "0000000000000000"


class Control:
    """JSON to and from one simulator."""

    def __init__(self, root: str, session: aiohttp.ClientSession):
        self._root = root
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, expected: int = 200) -> Any:
        url = f"{self._root}/control/{path}"
        async with self._session.request(method, url, json=body) as response:
            answer = await response.json()
            assert response.status == expected, answer
            return answer

    async def get(self, path: str) -> Any:
        return await self.ask("GET", path)

    async def create(self, **wanted: Any) -> list[str]:
        answer = await self.ask("POST", "orders", wanted, expected=201)
        made: list[str] = answer["order_ids"]
        return made

    async def spartoo(self, service: str, **fields: str) -> str:
        url = f"{self._root}/mp/{service}.php"
        async with self._session.post(url, data=fields) as response:
            return await response.text()


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    def now() -> datetime:
        return datetime(2026, 11, 20, 8, 0, tzinfo=UTC)

    async with running_simulator(CONFIG, now) as simulator, aiohttp.ClientSession() as session:
        yield Control(str(simulator.root.origin()), session)


async def test_an_order_is_created_as_wished(control: Control) -> None:
    (order_id,) = await control.create(
        account="b",
        order_id="3FF75E96C3434E92",
        status=2,
        relay=True,
        purchased_at="2026-11-19T12:00:00",
        lines=[
            {"size_reference": "98_38", "quantity": 2, "unit_price_discounted": "63.05"},
            {"size_reference": "4711_38", "unit_price": 10, "name": "Pantoufle"},
        ],
    )
    order = await control.get(f"orders/{order_id}")
    assert order["order_id"] == "3FF75E96C3434E92"
    assert (order["account"], order["status"]) == ("b", 2)
    assert order["purchased_at"] == "2026-11-19T12:00:00+01:00"
    assert order["relay"]["id"]
    assert order["lines"] == [
        {
            "reference": "98",
            "size_reference": "98_38",
            "name": "Baskets Léonce",
            "quantity": 2,
            "unit_price": "79.99",
            "unit_price_discounted": "63.05",
        },
        {
            "reference": "4711",
            "size_reference": "4711_38",
            "name": "Pantoufle",
            "quantity": 1,
            "unit_price": "10.00",
            "unit_price_discounted": "50.00",
        },
    ]
    exported = await control.spartoo(
        "xml_export_orders", partenaire="00000000000000BB", oID=order_id
    )
    assert "<date_purchased>2026-11-19 12:00:00</date_purchased>" in exported


async def test_many_orders_are_created_and_listed_page_by_page(control: Control) -> None:
    made = await control.create(count=25, kind="too_cheap", purchased_at="2026-11-19T12:00:00Z")
    await control.create(account="a", kind="fine", status=3)
    listed: list[Any] = []
    after: int | None = 0
    while after is not None:
        page = await control.get(f"orders?kind=too_cheap&limit=10&after={after}")
        listed += page["items"]
        after = page["next"]
    assert [order["order_id"] for order in listed] == made
    assert {order["purchased_at"] for order in listed} == {"2026-11-19T12:00:00+00:00"}
    assert [o["kind"] for o in (await control.get("orders?status=3&account=a"))["items"]] == [
        "fine"
    ]


async def test_the_back_office_may_set_any_status(control: Control) -> None:
    (order_id,) = await control.create(status=41)
    path = f"orders/{order_id}/status"
    order = await control.ask("POST", path, {"status": 3, "tracking_number": "6A1"})
    assert (order["status"], order["tracking_number"]) == (3, "6A1")


async def test_address_and_items_can_change(control: Control) -> None:
    (order_id,) = await control.create(account="a", lines=[{"size_reference": "98_38"}])
    before = await control.get(f"orders/{order_id}")
    change = {
        "delivery": {"street": "5 rue du <Change>"},
        "lines": [{"size_reference": "99_40", "quantity": 3}],
    }
    after = await control.ask("PATCH", f"orders/{order_id}", change)
    assert after["delivery"] == before["delivery"] | {"street": "5 rue du <Change>"}
    assert after["billing"] == before["billing"]
    assert [(i["size_reference"], i["quantity"]) for i in after["lines"]] == [("99_40", 3)]
    assert after["total"] == "87.00"
    exported = await control.spartoo("xml_export_orders", **EXPORT)
    assert "5 rue du &lt;Change&gt;" in exported
    assert "98_38" not in exported


async def test_faults_are_set_listed_and_cleared(control: Control) -> None:
    fault = {"kind": "code", "code": -429, "service": "xml_export_orders", "count": 2}
    await control.ask("POST", "faults", fault, expected=201)
    assert "<id>-429</id>" in await control.spartoo("xml_export_orders", **EXPORT)
    (listed,) = (await control.get("faults"))["items"]
    assert listed["left"] == 1
    assert listed.items() >= fault.items()
    assert await control.ask("DELETE", "faults") == {"items": []}
    assert "<id>1</id>" in await control.spartoo("xml_export_orders", **EXPORT)


@pytest.mark.parametrize("named", ["a", KEY])
async def test_an_account_is_deactivated_and_activated(control: Control, named: str) -> None:
    path = f"accounts/{named}"
    assert await control.ask("POST", path, {"active": False}) == {"name": "a", "active": False}
    assert "<id>-428</id>" in await control.spartoo("xml_export_orders", **EXPORT)
    await control.ask("POST", path, {"active": True})
    assert "<id>1</id>" in await control.spartoo("xml_export_orders", **EXPORT)


async def test_the_ledger_is_read_on_from_where_one_was(control: Control) -> None:
    (order_id,) = await control.create(account="a")
    await control.spartoo("xml_export_orders", **EXPORT)
    await control.spartoo("xml_maj_orders", partner=KEY, oID=order_id, status="2")
    first = await control.get("ledger?limit=1")
    assert (len(first["items"]), first["next"]) == (1, 1)
    second = await control.get("ledger?after=1")
    assert second == {
        "items": [
            {
                "number": 2,
                "at": "2026-11-20T08:00:00+00:00",
                "service": "xml_maj_orders",
                "account": "a",
                "fields": {"oID": order_id, "statut": "2"},
                "code": 1,
                "order_id": order_id,
                "return_id": None,
                "status_before": 11,
                "status_after": 2,
                "changed": True,
                "faults": [],
            }
        ],
        "next": None,
    }
    assert await control.get(f"ledger?order_id={order_id}&service=xml_maj_orders") == second


async def test_a_return_is_made_shown_and_moved(control: Control) -> None:
    (order_id,) = await control.create(
        account="a", lines=[{"size_reference": "98_38"}, {"size_reference": "99_40"}]
    )
    wanted = {"order_id": order_id, "line": 2, "requested_at": "2026-11-19T12:00:00"}
    made = await control.ask("POST", "returns", wanted, expected=201)
    assert made == {
        "number": 1,
        "return_id": made["return_id"],
        "account": "a",
        "order_id": order_id,
        "status": 2,
        "reason": "trop petit",
        "requested_at": "2026-11-19T12:00:00+01:00",
        "size_reference": "99_40",
        "label_link": "",
        "label_file_size": 0,
    }
    path = f"returns/{made['return_id']}"
    paid = await control.ask("POST", f"{path}/status", {"status": 7})
    assert paid == await control.get(path) == made | {"status": 7}
    assert (await control.get(f"returns?order_id={order_id}&status=7"))["items"] == [paid]
    assert (await control.get("returns?account=b"))["items"] == []
    exported = await control.spartoo("xml_export_returns", partenaire=KEY, date="0")
    assert "<return_date>2026-11-19 12:00:00</return_date>" in exported
    assert "<return_status>7</return_status>" in exported


async def test_calls_about_a_return_are_found_in_the_ledger(control: Control) -> None:
    (order_id,) = await control.create(account="a")
    made = await control.ask("POST", "returns", {"order_id": order_id}, expected=201)
    await control.spartoo("xml_export_returns", partenaire=KEY, date="0")
    await control.spartoo("xml_maj_returns", partenaire=KEY, rID=made["return_id"], statut="4")
    (call,) = (await control.get(f"ledger?return_id={made['return_id']}"))["items"]
    assert (call["service"], call["status_before"], call["status_after"]) == (
        "xml_maj_returns",
        2,
        4,
    )


async def test_stock_is_shown_and_set(control: Control) -> None:
    async def told(quantity: str) -> str:
        return await control.spartoo(
            "xml_maj_stock",
            partenaire=KEY,
            reference_partenaire="4711",
            products_size_reference="4711_38",
            products_quantity=quantity,
        )

    assert (await control.get("stock?account=a&told=true"))["items"] == []
    size = {"account": "a", "size_reference": "4711_38", "reference": "4711", "quantity": 3}
    await control.ask("POST", "stock", size)
    assert "<errors>1</errors>" in await told("4")
    (level,) = (await control.get("stock?account=a&told=true"))["items"]
    assert level == {
        "reference": "4711",
        "size_reference": "4711_38",
        "quantity": 4,
        "retired": False,
        "told": 1,
        "told_at": "2026-11-20T08:00:00+00:00",
    }
    retired = {"account": "a", "size_reference": "4711_38", "retired": True}
    assert (await control.ask("POST", "stock", retired))["quantity"] == 4
    assert "<errors>-20</errors>" in await told("5")
    (level,) = (await control.get("stock?account=a&size_reference=4711_38"))["items"]
    assert level["quantity"] == 0


async def test_summary_counts_per_account_and_status(control: Control) -> None:
    await control.create(account="a", count=3)
    await control.create(account="b", status=41)
    summary = await control.get("summary")
    assert summary["orders"] == 4
    assert summary["accounts"] == {
        "a": {"active": True, "orders": 3, "by_status": {"11": 3}},
        "b": {"active": True, "orders": 1, "by_status": {"41": 1}},
    }
    assert KEY not in str(summary)


async def test_catalogue_is_ready_to_upsert(control: Control) -> None:
    assert await control.get("catalog") == {"products": catalog_products()}


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "orders", {"count": 0}, "count"),
        ("POST", "orders", {"colour": "red"}, "colour"),
        ("POST", "orders", {"status": 12}, "status"),
        ("POST", "orders", {"kind": "lovely"}, "kind"),
        ("POST", "orders", {"lines": []}, "lines"),
        ("POST", "orders", {"lines": [{"size_reference": "98_38", "quantity": 0}]}, "quantity"),
        ("POST", "orders", {"order_id": UNKNOWN, "count": 2}, "order_id"),
        ("POST", "orders", {"purchased_at": "soon"}, "purchased_at"),
        ("POST", "orders", [], "body"),
        ("GET", "orders?status=12", None, "status"),
        ("GET", "ledger?after=x", None, "after"),
        ("POST", "faults", {"kind": "earthquake"}, "earthquake"),
        ("POST", "faults", {"kind": "html", "probability": 2}, "probability"),
        ("POST", "faults", {"kind": "html", "service": "xml_nothing"}, "xml_nothing"),
        ("POST", "faults", {"kind": "html", "account": "c"}, "c"),
        ("POST", "accounts/a", {"active": "perhaps"}, "active"),
        ("POST", "rate", {"rate": -1}, "rate"),
        ("POST", "returns", {}, "order_id"),
        ("POST", "returns", {"order_id": UNKNOWN, "status": 6}, "status"),
        ("GET", "returns?status=41", None, "status"),
        ("POST", "stock", {"account": "a", "size_reference": "4711_38"}, "reference"),
        ("POST", "stock", {"account": "a", "size_reference": "98_38", "quantity": -1}, "quantity"),
        ("GET", "stock", None, "account"),
    ],
)
async def test_bad_input_is_refused_with_its_name(
    control: Control, method: str, path: str, body: Any, named: str
) -> None:
    answer = await control.ask(method, path, body, expected=400)
    assert named in answer["error"]
    assert (await control.get("summary"))["orders"] == 0


async def test_what_is_not_json_is_refused(control: Control) -> None:
    async with control._session.post(f"{control._root}/control/rate", data=b"{") as response:
        assert response.status == 400
        assert "JSON" in (await response.json())["error"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"orders/{UNKNOWN}", None),
        ("PATCH", f"orders/{UNKNOWN}", {}),
        ("POST", f"orders/{UNKNOWN}/status", {"status": 2}),
        ("POST", "accounts/c", {"active": True}),
        ("POST", "orders", {"account": "c"}),
        ("POST", "returns", {"order_id": UNKNOWN}),
        ("GET", f"returns/{UNKNOWN}", None),
        ("POST", f"returns/{UNKNOWN}/status", {"status": 5}),
        ("GET", "stock?account=c", None),
    ],
)
async def test_unknown_orders_and_accounts(
    control: Control, method: str, path: str, body: Any
) -> None:
    assert "error" in await control.ask(method, path, body, expected=404)


async def test_an_order_id_is_given_once(control: Control) -> None:
    await control.create(order_id="00000000000000FF")
    twice = {"order_id": "00000000000000FF"}
    await control.ask("POST", "orders", twice, expected=409)


async def test_a_return_is_of_an_item_of_its_order_and_its_id_is_given_once(
    control: Control,
) -> None:
    (order_id,) = await control.create(lines=[{"size_reference": "98_38"}])
    wanted = {"order_id": order_id, "return_id": "00000000000000FF"}
    answer = await control.ask("POST", "returns", {**wanted, "line": 2}, expected=400)
    assert answer["error"] == "line: the order has 1"
    await control.ask("POST", "returns", wanted, expected=201)
    await control.ask("POST", "returns", wanted, expected=409)
