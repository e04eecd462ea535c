"""Faults: when they hit, and what they make of an answer's bytes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree
from pydantic import TypeAdapter

from adapters.spartoo.simulator.config import SimulatorConfig
from adapters.spartoo.simulator.factory import Wishes
from adapters.spartoo.simulator.fault_kinds import AnyFault
from adapters.spartoo.simulator.faults import FaultBoard, UnknownScope
from adapters.spartoo.simulator.plan import HONEST, Plan, ResultCode, Silence, Whole
from adapters.spartoo.simulator.services import SERVICES
from adapters.spartoo.simulator.world import World
from adapters.spartoo.simulator.xml import Answer, order_listing

EXPORT, CHANGE = "xml_export_orders", "xml_maj_orders"
_FAULT: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)


def board(*faults: dict[str, Any], seed: int = 1) -> FaultBoard:
    made = FaultBoard(seed, SERVICES, ["a", "b"])
    for fault in faults:
        made.add(_FAULT.validate_python(fault))
    return made


def plan(**fault: Any) -> Plan:
    return board(fault).plan(EXPORT, "a")


@pytest.fixture(scope="module")
def answer() -> Answer:
    """Three orders; one customer's name has accents."""
    world = World(SimulatorConfig(), lambda: datetime(2026, 11, 20, tzinfo=UTC))
    orders = [world.create(Wishes()) for _ in range(3)]
    world.amend(orders[0], billing=replace(orders[0].billing, first_name="Chloé œ"))
    return Answer(1, "statut", order_listing(orders))


def body(answer: Answer, plan: Plan) -> bytes:
    return b"".join(plan.body(answer))


def orders_of(data: bytes) -> list[etree._Element]:
    return etree.fromstring(data).findall("orders/order")


def test_without_faults_the_plan_is_honest() -> None:
    assert board().plan(EXPORT, "a") is HONEST


def test_scope_limits_a_fault_to_its_service_and_account() -> None:
    faults = board({"kind": "empty", "service": CHANGE, "account": "a"})
    calls = [(EXPORT, "a"), (CHANGE, "b"), (CHANGE, None), (CHANGE, "a")]
    assert [faults.plan(*call).instead is not None for call in calls] == [False, False, False, True]


@pytest.mark.parametrize("scope", [{"service": "xml_maj_ordres"}, {"account": "c"}])
def test_a_scope_that_cannot_happen_is_refused(scope: dict[str, str]) -> None:
    (wrong,) = scope.values()
    with pytest.raises(UnknownScope, match=wrong):
        board({"kind": "empty", **scope})


def test_a_count_ends_the_fault() -> None:
    faults = board({"kind": "html", "count": 2})
    assert [faults.plan(EXPORT, "a").faults for _ in range(3)] == [("html",), ("html",), ()]
    assert faults.in_force() == []


def test_probability_hits_its_share_and_repeats_with_the_seed() -> None:
    def hits(seed: int) -> list[bool]:
        faults = board({"kind": "empty", "probability": 0.3}, seed=seed)
        return [faults.plan(EXPORT, "a").instead is not None for _ in range(1000)]

    assert 230 < sum(hits(1)) < 370
    assert hits(1) == hits(1)
    assert hits(1) != hits(2)


def test_several_faults_add_up_and_the_first_replacement_wins() -> None:
    made = board(
        {"kind": "latency", "seconds": 1},
        {"kind": "latency", "seconds": 2, "jitter": 1},
        {"kind": "code", "code": -429},
        {"kind": "html"},
    ).plan(EXPORT, "a")
    assert 3 < made.delay < 4
    assert made.instead == ResultCode(-429)
    assert made.faults == ("latency", "latency", "code", "html")


def test_clearing_ends_all_faults() -> None:
    faults = board({"kind": "html"}, {"kind": "bom"})
    faults.clear()
    assert faults.plan(EXPORT, "a") is HONEST


def test_replacements() -> None:
    page = plan(kind="http_error", status=502).instead
    assert isinstance(page, Whole)
    assert (page.status, page.content_type, b"502" in page.body) == (502, "text/html", True)
    html = plan(kind="html").instead
    assert isinstance(html, Whole)
    assert html.status == 200
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(html.body)
    assert plan(kind="empty").instead == Whole(200, b"", "text/xml")
    assert plan(kind="timeout", seconds=9).instead == Silence(9)
    assert plan(kind="drop").instead == Silence(0)
    assert not plan(kind="drop").after_change
    assert plan(kind="drop", after_change=True).after_change


def test_cut_at_a_byte_and_at_a_fraction(answer: Answer) -> None:
    whole = body(answer, HONEST)
    assert body(answer, plan(kind="cut_off", at_byte=100)) == whole[:100]
    assert body(answer, plan(kind="cut_off", at_byte=0)) == b""
    assert body(answer, plan(kind="cut_off", fraction=0.5)) == whole[: len(whole) // 2]
    assert body(answer, plan(kind="cut_off", at_byte=len(whole) + 1)) == whole


def test_cut_counts_bytes_over_chunk_borders() -> None:
    world = World(SimulatorConfig(), lambda: datetime(2026, 11, 20, tzinfo=UTC))
    many = Answer(1, "statut", order_listing([world.create(Wishes()) for _ in range(200)]))
    whole = body(many, HONEST)
    for at_byte in (65_000, 70_000, 140_001):
        assert body(many, plan(kind="cut_off", at_byte=at_byte)) == whole[:at_byte]


def test_drip_sends_the_same_bytes_in_small_pieces(answer: Answer) -> None:
    pieces = list(plan(kind="drip", size=100).body(answer))
    assert b"".join(pieces) == body(answer, HONEST)
    assert max(map(len, pieces)) == 100


def test_latin1_is_declared_and_what_it_lacks_is_a_reference(answer: Answer) -> None:
    data = body(answer, plan(kind="latin1"))
    assert data.startswith(b'<?xml version="1.0" encoding="ISO-8859-1"?>')
    assert "Chloé &#339;".encode("latin-1") in data
    assert orders_of(data)[0].findtext("customers/customers_firstname") == "Chloé œ"


def test_cp1252_is_not_declared_and_no_utf8(answer: Answer) -> None:
    data = body(answer, plan(kind="cp1252"))
    assert data.startswith(b'<?xml version="1.0"?>')
    assert "Chloé œ".encode("cp1252") in data
    with pytest.raises(UnicodeDecodeError):
        data.decode("utf-8")


def test_byte_order_mark_comes_once_before_everything(answer: Answer) -> None:
    assert body(answer, plan(kind="bom")) == b"\xef\xbb\xbf" + body(answer, HONEST)


@pytest.mark.parametrize(
    ("place", "path"),
    [("statut", "statut/id"), ("errors", "errors"), ("error", "errors/error/id")],
)
def test_the_result_stands_where_it_is_told_to(answer: Answer, place: str, path: str) -> None:
    root = etree.fromstring(body(answer, plan(kind="result_elsewhere", place=place)))
    assert root.findtext(path) == "1"


def test_extra_fields_hide_nothing(answer: Answer) -> None:
    honest, extra = (orders_of(body(answer, p)) for p in (HONEST, plan(kind="extra_fields")))
    for path in ("champ_nouveau", "customers/champ_nouveau", "products/product/champ_nouveau"):
        assert all(order.find(path) is not None for order in extra)
    for order in extra:
        for element in order.findall(".//champ_nouveau"):
            parent = element.getparent()
            assert parent is not None
            parent.remove(element)
    assert [etree.tostring(o) for o in extra] == [etree.tostring(o) for o in honest]


def test_reordering_keeps_the_fields_and_the_order_of_products(answer: Answer) -> None:
    honest, turned = (orders_of(body(answer, p)) for p in (HONEST, plan(kind="reordered")))
    for was, now in zip(honest, turned, strict=True):
        assert [e.tag for e in now] == [e.tag for e in was][::-1]
        references = "products/product/products_size_reference"
        assert [e.text for e in now.findall(references)] == [
            e.text for e in was.findall(references)
        ]
        assert {(e.tag, e.text) for e in now.iter()} == {(e.tag, e.text) for e in was.iter()}


def test_a_malformed_order_breaks_the_export_after_the_first(answer: Answer) -> None:
    data = body(answer, plan(kind="malformed_order"))
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(data)
    assert data.count(b"</delivery>") == 2


@pytest.mark.parametrize(
    ("what", "path", "value"),
    [
        ("no_id", "orders_id", None),
        ("bad_quantity", "products/product/products_qty", "deux"),
        ("bad_date", "date_purchased", "0000-00-00 00:00:00"),
    ],
)
def test_one_order_is_unreadable_and_the_others_are_not(
    answer: Answer, what: str, path: str, value: str | None
) -> None:
    honest = orders_of(body(answer, HONEST))
    spoilt = orders_of(body(answer, plan(kind="unreadable_order", what=what)))
    assert spoilt[1].findtext(path) == value
    assert [etree.tostring(spoilt[i]) for i in (0, 2)] == [
        etree.tostring(honest[i]) for i in (0, 2)
    ]


def test_the_unreadable_order_can_be_named(answer: Answer) -> None:
    last = orders_of(body(answer, HONEST))[2].findtext("orders_id")
    fault = {"kind": "unreadable_order", "order_id": last}
    quantities = [
        order.findtext("products/product/products_qty")
        for order in orders_of(body(answer, plan(**fault)))
    ]
    assert [q == "deux" for q in quantities] == [False, False, True]
