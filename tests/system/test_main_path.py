"""Orders of every kind from the marketplace to Koongo, decided as the settings say."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line, unknown_line
from adapters.spartoo.simulator.orders import Status
from tests.fixtures.checks import acceptances
from tests.fixtures.koongo import Consumer
from tests.fixtures.postgres import eventually
from tests.fixtures.system import System

STOCK = 1000
FINE = ["order.new", "order.accepted", "order.synced"]
HELD = ["order.new", "order.pending_manual"]
VARIANT = VARIANTS["98_38"]


async def test_orders_of_every_kind_end_where_they_belong(
    system: System, consumer: Consumer
) -> None:
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    await system.fill_catalogue(STOCK)
    fine = system.place("auto", 25, kind="fine")
    why = {
        "price_below_threshold": system.place("auto", 8, kind="too_cheap"),
        "unknown_product": system.place("auto", 7, kind="unknown_product"),
        "out_of_stock": system.place("auto", 5, lines=[catalog_line(VARIANT, STOCK + 1)]),
        "auto_accept_off": system.place("manual", 15, kind="fine"),
    }
    await system.run()
    held = {order.id: reason for reason, orders in why.items() for order in orders}
    await system.reaches({o.id: "synced" for o in fine} | dict.fromkeys(held, "pending_manual"))
    await system.check(consumer)
    assert acceptances(system.simulator) == {order.id for order in fine}
    for order in fine:
        assert consumer.types(order.id) == FINE
    for order_id, reason in held.items():
        assert consumer.types(order_id) == HELD
        assert await reasons(system, order_id) == [reason]


async def reasons(system: System, order_id: str) -> list[str]:
    (row,) = await system.rows(
        "select array(select json_array_elements_text(decision -> 'reasons')) as reasons"
        " from orders where order_id = $1",
        order_id,
    )
    return list(row["reasons"])


async def test_every_reason_is_given_not_just_the_first(system: System, consumer: Consumer) -> None:
    system.connect("manual")
    await system.fill_catalogue(STOCK)
    cheap_and_many = catalog_line(VARIANT, STOCK + 1, percent=50)
    (order,) = system.place("manual", lines=[cheap_and_many, unknown_line("999_38")])
    await system.run()
    await consumer.has(order.id, *HELD)
    found = await reasons(system, order.id)
    assert set(found) == {
        "auto_accept_off",
        "out_of_stock",
        "price_below_threshold",
        "unknown_product",
    }
    (event,) = consumer.of_type("order.pending_manual")
    assert event.body["data"]["decision"]["reasons"] == found


async def test_two_orders_never_share_the_last_unit(system: System, consumer: Consumer) -> None:
    system.connect("auto", auto_accept=True)
    await system.fill_catalogue(3)
    orders = system.place("auto", 5, lines=[catalog_line(VARIANT, 1)])
    await system.run()
    for order in orders:
        await consumer.has(order.id, "order.new")
    await system.reaches({order.id: "synced" for order in orders[:3]})
    await system.reaches({order.id: "pending_manual" for order in orders[3:]})
    await system.check(consumer)
    moves = [m.body["data"]["available"] for m in consumer.of_type("stock.changed")]
    assert moves[-3:] == [2, 1, 0]


async def test_two_replicas_sell_the_last_units_once(system: System, consumer: Consumer) -> None:
    """Orders of two connections to one catalogue, stored at once, want what is left of it."""
    names = ("auto", "other")
    for name in names:
        system.connect(name, auto_accept=True)
    await system.fill_catalogue(7)
    for _ in range(2):
        await system.run()
    orders = [system.place(name, 40, lines=[catalog_line(VARIANT, 1)]) for name in names]

    async def decided() -> bool:
        states = Counter((await system.states()).values())
        return states == {"synced": 7, "pending_manual": 73}

    await eventually(decided, 60)
    await system.check(consumer)
    assert len(acceptances(system.simulator)) == 7
    accepted = [o for o in chain(*orders) if o.status is Status.IN_PREPARATION]
    assert len(accepted) == 7


async def test_what_happens_in_the_back_office_is_followed_step_by_step(
    system: System, consumer: Consumer
) -> None:
    system.connect("manual", open_look_interval=1)
    await system.fill_catalogue(STOCK)
    shipped, cancelled = system.place("manual", 2, kind="fine")
    await system.run()
    await system.reaches(dict.fromkeys((shipped.id, cancelled.id), "pending_manual"))
    world = system.simulator.world
    world.set_status(shipped, Status.SHIPPED, "TRACK1")  # two steps at once: nobody saw 2
    world.set_status(cancelled, Status.CANCELLED)
    await system.reaches({shipped.id: "shipped", cancelled.id: "cancelled"})
    await system.check(consumer)
    assert consumer.types(shipped.id) == [*HELD, "order.accepted", "order.shipped"]
    assert consumer.types(cancelled.id) == [*HELD, "order.cancelled"]
    assert not acceptances(system.simulator)


async def test_stock_only_records_and_moves_stock_and_says_nothing_else(
    system: System, consumer: Consumer
) -> None:
    system.connect("other", sync_level="stock_only", auto_accept=True)
    await system.fill_catalogue(STOCK)
    (order,) = system.place("other", lines=[catalog_line(VARIANT, 2)])
    await system.run()
    await system.reaches({order.id: "synced"})
    await system.check(consumer)
    assert not consumer.types(order.id)
    caused = [m.body["data"] for m in consumer.of_type("stock.changed") if m.headers["sequence"]]
    (moved,) = [data for data in caused if data["order_id"] == order.id]
    assert (moved["delta"], moved["reason"]) == (-2, "marketplace_order")
    assert order.status is Status.VERIFIED
    assert not acceptances(system.simulator)


async def test_the_billing_address_is_shipped_to_except_at_a_collection_point(
    system: System, consumer: Consumer
) -> None:
    system.connect("manual", use_billing_address_for_shipping=True)
    orders = system.place("manual", 12, kind="fine", relay=False)
    gift = next(order for order in orders if order.delivery != order.billing)
    (at_relay,) = system.place("manual", kind="fine", relay=True)
    await system.run()
    await consumer.has(gift.id, *HELD)
    await consumer.has(at_relay.id, *HELD)
    published = {m.body["subject"]: m.body["data"]["order"] for m in consumer.of_type("order.new")}
    document = published[gift.id]
    assert document["shipping_address"] == document["billing_address"]
    assert document["marketplace_shipping_address"]["street"] == gift.delivery.street
    assert document["marketplace_shipping_address"] != document["billing_address"]
    assert at_relay.relay is not None
    assert published[at_relay.id]["relay"]["id"] == at_relay.relay.id


async def test_products_are_found_by_another_attribute(system: System, consumer: Consumer) -> None:
    system.connect("auto", auto_accept=True, product_id_attribute="ean")
    await system.fill_catalogue(STOCK)
    by_ean = replace(catalog_line(VARIANT, 1), size_reference=VARIANT.ean)
    (known,) = system.place("auto", lines=[by_ean])
    (unknown,) = system.place("auto", lines=[catalog_line(VARIANT, 1)])  # its id is no EAN
    await system.run()
    await system.reaches({known.id: "synced", unknown.id: "pending_manual"})
    await consumer.has(known.id, *FINE)
    (accepted,) = consumer.of_type("order.accepted")
    assert accepted.body["data"]["order"]["items"][0]["product_id"] == VARIANT.size_reference
    assert await reasons(system, unknown.id) == ["unknown_product"]


async def test_orders_from_before_sync_from_are_left_alone(
    system: System, consumer: Consumer
) -> None:
    today = datetime.now(UTC)
    system.connect("manual", sync_from=(today - timedelta(days=3)).date().isoformat())
    (old,) = system.place("manual", at=today - timedelta(days=5))
    (new,) = system.place("manual", at=today - timedelta(days=1))
    await system.run()
    await consumer.has(new.id, *HELD)
    assert old.id not in await system.states()
